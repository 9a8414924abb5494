"use strict";

const STATUS_EVERY = 1000;
const ANSWER_WITHIN = 5000;
const CHART_SECONDS = 120;
const CHART_GAP = 5;
const SHOW_DONE = 4000;
const SHOW_ALERT = 20000;

const byId = (id) => document.getElementById(id);

function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${unit && count < 100 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

function showRate(id, perSecond, total) {
  byId(id).textContent = `${bytes(perSecond)}/s`;
  byId(`${id}-total`).textContent = `${bytes(total)} in all`;
}

/* ---- errors ---- */

const alerts = new Map();

/* What is wrong, and with what: "" when nothing is any more. The failure of an action is only so
   long of interest. */
function showAlert(about, text) {
  clearTimeout(alerts.get(about)?.timer);
  alerts.delete(about);
  if (text) {
    const timer = about === "action" && setTimeout(() => showAlert(about, ""), SHOW_ALERT);
    alerts.set(about, { text, timer });
  }
  byId("alert").textContent = [...alerts.values()].map((alert) => alert.text).join("\n");
  byId("alert").hidden = alerts.size === 0;
}

function reasonIn(text, status) {
  try {
    return JSON.parse(text).error;
  } catch {
    return `the printer answered ${status}`;
  }
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw Object.assign(new Error("The printer cannot be reached."), { about: "printer" });
  }
  if (!response.ok) {
    throw new Error(reasonIn(await response.text(), response.status));
  }
  return response;
}

/* For people to read: \xNN for a control character, or for a byte that is not UTF-8 (here U+DC80 to
   U+DCFF). */
function shown(text) {
  return text.replace(/[\p{Cc}\p{Cs}]/gu, (letter) => {
    const byte = letter.charCodeAt(0) & 0xff;
    return `\\x${byte.toString(16).padStart(2, "0")}`;
  });
}

/* ---- status ---- */

function showModule(module) {
  byId("ip").textContent = module.ip ?? "–";
  const signal = module.rssi > -128 ? `, ${module.rssi} dBm` : "";
  byId("network").textContent = module.ssid ? shown(module.ssid) + signal : "–";
  byId("heap").textContent = module.freeHeap ? bytes(module.freeHeap) : "–";
  byId("version").textContent = module.version ?? "–";
  setState(module.error ?? module.state, Boolean(module.error));
}

function showSockets(sockets) {
  byId("sockets-text").textContent = `${sockets.used} of ${sockets.limit}`;
  const pips = Array.from({ length: sockets.limit }, (_, number) => {
    const pip = document.createElement("i");
    pip.className = number < sockets.used ? "used" : "";
    return pip;
  });
  byId("sockets").replaceChildren(...pips);
}

function showTraffic(traffic) {
  showRate("in", traffic.bytesInPerSecond, traffic.bytesIn);
  showRate("out", traffic.bytesOutPerSecond, traffic.bytesOut);
  const failures = traffic.failures ? `, ${traffic.failures} failed` : "";
  byId("transactions").textContent = traffic.transactions.toLocaleString() + failures;
}

function showLastError(error) {
  byId("last-error").textContent =
    error ? `${error.text} (${duration(error.secondsAgo)} ago)` : "none";
}

function duration(seconds) {
  if (seconds < 90) {
    return `${seconds} s`;
  }
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

function showList(id, pairs, otherwise) {
  const parts = pairs.flatMap(([term, text]) => {
    const name = document.createElement("dt");
    name.textContent = term;
    const value = document.createElement("dd");
    value.append(text);
    return [name, value];
  });
  if (parts.length === 0) {
    const none = document.createElement("dd");
    none.textContent = otherwise;
    parts.push(none);
  }
  byId(id).replaceChildren(...parts);
}

function showServices(services) {
  const pairs = Object.entries(services).map(([name, where]) => {
    if (!/^(https?|ftp|telnet):/.test(where)) {
      return [name, where];
    }
    const link = document.createElement("a");
    link.href = where;
    link.textContent = where;
    return [name, link];
  });
  showList("services", pairs, "nothing");
}

function showConnections(open) {
  const pairs = open.map((socket) => {
    const waiting = socket.waiting ? `, ${bytes(socket.waiting)} to send` : "";
    const closing = socket.closing ? ", closing" : "";
    return [`${socket.number}  ${socket.protocol}`, socket.peer + waiting + closing];
  });
  showList("connections", pairs, "none");
}

/* ---- throughput ---- */

let rates = []; // { at, in, out }: seconds, and bytes per second

/* x is in seconds; where no status came for a while, there is no line. */
function line(name, peak) {
  const now = rates.at(-1).at;
  const points = rates.map((rate, number) => {
    const joined = number > 0 && rate.at - rates[number - 1].at < CHART_GAP;
    const x = CHART_SECONDS - (now - rate.at);
    return `${joined ? "L" : "M"}${x.toFixed(2)} ${(39 - (38 * rate[name]) / peak).toFixed(2)}`;
  });
  return points.join("");
}

function drawChart(traffic) {
  const at = performance.now() / 1000;
  rates = rates.filter((rate) => at - rate.at <= CHART_SECONDS);
  rates.push({ at, in: traffic.bytesInPerSecond, out: traffic.bytesOutPerSecond });
  const peak = Math.max(1024, ...rates.flatMap((rate) => [rate.in, rate.out]));
  byId("chart-in").setAttribute("d", line("in", peak));
  byId("chart-out").setAttribute("d", line("out", peak));
  byId("peak").textContent = `${bytes(peak)}/s`;
}

function setState(text, bad) {
  byId("state").textContent = text;
  byId("state").classList.toggle("bad", bad);
}

async function pollStatus() {
  const asked = performance.now();
  let status = null;
  try {
    const answer = await ask("/api/status", { signal: AbortSignal.timeout(ANSWER_WITHIN) });
    status = await answer.json();
    showAlert("printer", "");
    showModule(status.module);
    showSockets(status.sockets);
    showTraffic(status.traffic);
    drawChart(status.traffic);
    showServices(status.services);
    showConnections(status.sockets.open);
    showLastError(status.lastError);
    byId("summary").textContent =
      `${bytes(status.storage.bytes)} used, ${bytes(status.storage.free)} free`;
    noticeFiles(status.storage);
  } catch {
    setState("not reachable", true);
  }
  document.dispatchEvent(new CustomEvent("status", { detail: { asked, status } }));
  setTimeout(pollStatus, STATUS_EVERY);
}

/* ---- files ---- */

function cell(content, className) {
  const element = document.createElement("td");
  element.className = className ?? "";
  element.append(content);
  return element;
}

function pathOf(name) {
  return `/files/${encodeURIComponent(name)}`;
}

function downloadLink(name) {
  const link = document.createElement("a");
  link.href = pathOf(name);
  link.download = name;
  link.textContent = name;
  return link;
}

function deleteButton(name) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Delete";
  button.setAttribute("aria-label", `Delete ${name}`);
  button.addEventListener("click", () => removeFile(name));
  return button;
}

function row(file) {
  const element = document.createElement("tr");
  const changed = new Date(file.modified * 1000).toLocaleString();
  element.append(
    cell(downloadLink(file.name)),
    cell(bytes(file.size), "number"),
    cell(changed, "wide"),
    cell(deleteButton(file.name)),
  );
  return element;
}

let listed = ""; // what the list was asked for

/* Files come and go by FTP, and through other people's pages; a list that failed is asked again. */
function noticeFiles(storage) {
  const stored = `${storage.files} ${storage.bytes}`;
  if (stored !== listed) {
    listed = stored;
    showFiles();
  }
}

async function showFiles() {
  try {
    const { files } = await (await ask("/api/files")).json();
    byId("files").replaceChildren(...files.map(row));
    byId("empty").hidden = files.length > 0;
    showAlert("files", "");
  } catch (error) {
    listed = "";
    showAlert(error.about ?? "files", error.message);
  }
}

async function removeFile(name) {
  if (!confirm(`Delete ${name}?`)) {
    return;
  }
  try {
    await ask(pathOf(name), { method: "DELETE" });
    showAlert("action", "");
  } catch (error) {
    showAlert("action", `${name} was not deleted: ${error.message}`);
  }
  await showFiles();
}

/* ---- uploads: one at a time, in the order they were chosen ---- */

const waiting = [];
let uploading = false;

function uploadItem(name) {
  const item = document.createElement("li");
  const title = document.createElement("span");
  title.className = "name";
  title.textContent = name;
  const note = document.createElement("span");
  note.className = "note";
  note.textContent = "waiting";
  const bar = document.createElement("progress");
  bar.max = 1;
  bar.value = 0;
  bar.setAttribute("aria-label", `Upload of ${name}`);
  item.append(title, note, bar);
  byId("uploads").append(item);
  return { item, note, bar };
}

function dismissButton({ file, item }) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "plain";
  button.textContent = "Dismiss";
  button.setAttribute("aria-label", `Dismiss ${file.name}`);
  button.addEventListener("click", () => item.remove());
  return button;
}

function addFiles(files) {
  for (const file of files) {
    waiting.push({ file, ...uploadItem(file.name) });
  }
  uploadNext();
}

async function uploadNext() {
  if (uploading || waiting.length === 0) {
    return;
  }
  uploading = true;
  const upload = waiting.shift();
  try {
    await send(upload);
    upload.note.textContent = "stored";
    setTimeout(() => upload.item.remove(), SHOW_DONE);
  } catch (error) {
    upload.item.className = "failed";
    upload.note.textContent = error.message;
    upload.bar.replaceWith(dismissButton(upload));
  }
  uploading = false;
  await showFiles();
  uploadNext();
}

function send({ file, note, bar }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const started = performance.now();
    request.upload.onprogress = (event) => {
      const seconds = (performance.now() - started) / 1000;
      bar.value = event.total ? event.loaded / event.total : 1;
      note.textContent =
        `${bytes(event.loaded)} of ${bytes(event.total)}, ${bytes(event.loaded / seconds)}/s`;
    };
    request.onload = () => {
      if (request.status < 300) {
        resolve();
      } else {
        reject(new Error(reasonIn(request.responseText, request.status)));
      }
    };
    request.onerror = () => reject(new Error("The connection to the printer was lost."));
    request.open("PUT", pathOf(file.name));
    request.send(file);
  });
}

/* ---- start ---- */

const drop = byId("drop");

byId("choose").addEventListener("change", (event) => {
  addFiles(event.target.files);
  event.target.value = "";
});

for (const type of ["dragenter", "dragover"]) {
  drop.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
}

for (const type of ["dragleave", "drop"]) {
  drop.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.remove("over");
  });
}

drop.addEventListener("drop", (event) => addFiles(event.dataTransfer.files));

pollStatus();
