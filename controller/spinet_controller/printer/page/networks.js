"use strict";

/* What the module remembers, what is in reach, and which network it is on. */

let remembered = [];
let present; // the network that the module is on
let wish = null; // { ssid, error }: the network that was asked for last; error: why it is not joined
let wishedAt = 0; // when this page asked for it
let fetchedFor = ""; // what the list was asked for
let chosen = ""; // a name in reach; the input field cannot hold every name as it is

function button(text, name, className, action) {
  const element = document.createElement("button");
  element.type = "button";
  element.className = className;
  element.textContent = text;
  element.setAttribute("aria-label", `${text} ${shown(name)}`);
  element.addEventListener("click", action);
  return element;
}

function networkRow(name, ...rest) {
  const item = document.createElement("li");
  const title = document.createElement("span");
  title.className = "name";
  title.textContent = shown(name);
  item.append(title, ...rest);
  return item;
}

function note(text, className) {
  const element = document.createElement("span");
  element.className = className;
  element.textContent = text;
  return element;
}

function isJoining() {
  return wish !== null && wish.error === null;
}

function rememberedRow({ ssid }) {
  const forget = button("Forget", ssid, "", () => forgetNetwork(ssid));
  forget.disabled = isJoining(); // there are no answers
  if (ssid === present && !isJoining()) {
    return networkRow(ssid, note("joined", "here"), forget);
  }
  const join = button("Join", ssid, "plain", () => joinNetwork(ssid));
  join.disabled = isJoining();
  const item = networkRow(ssid, join, forget);
  if (wish?.ssid === ssid) {
    const text = isJoining()
      ? "joining; the printer may get another address"
      : `not joined: ${wish.error}`;
    item.append(note(text, isJoining() ? "outcome" : "outcome bad"));
  }
  return item;
}

function drawNetworks() {
  const rows = remembered.map(rememberedRow);
  byId("networks").replaceChildren(...(rows.length ? rows : [networkRow("none")]));
}

function foundRow(network) {
  const choose = button("Choose", network.ssid, "plain", () => {
    chosen = network.ssid;
    byId("ssid").value = shown(chosen);
    byId("password").focus();
  });
  const about = `${network.rssi} dBm, ${network.auth}`;
  return networkRow(network.ssid || "(hidden)", note(about, "muted"), choose);
}

function sendJson(path, document) {
  return ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(document),
  });
}

/* Runs what a button is for; says what went wrong, and shows the list as it is then. */
async function attempt(what, action) {
  try {
    await action();
    showAlert("action", "");
  } catch (error) {
    showAlert("action", `${what}: ${error.message}`);
  }
  await showNetworks();
}

async function showNetworks() {
  try {
    remembered = (await (await ask("/api/networks")).json()).networks;
    drawNetworks();
    showAlert("networks", "");
  } catch (error) {
    fetchedFor = "";
    if (!isJoining()) {
      showAlert(error.about ?? "networks", error.message);
    }
  }
}

function forgetNetwork(ssid) {
  if (confirm(`Forget ${shown(ssid)}?`)) {
    attempt(`${shown(ssid)} was not forgotten`, () => sendJson("/api/forget", { ssid }));
  }
}

function joinNetwork(ssid) {
  if (confirm(`Join ${shown(ssid)}? Every connection of the module ends.`)) {
    attempt(`${shown(ssid)} was not joined`, async () => {
      await sendJson("/api/join", { ssid });
      wish = { ssid, error: null };
      wishedAt = performance.now();
      showJoining();
      drawNetworks();
    });
  }
}

function showJoining() {
  if (isJoining()) {
    setState(`joining ${shown(wish.ssid)}`, false);
  }
}

async function scan() {
  byId("scan").disabled = true;
  await attempt("The scan failed", async () => {
    const { networks } = await (await sendJson("/api/scan", {})).json();
    const rows = networks.map(foundRow);
    byId("found").replaceChildren(...(rows.length ? rows : [networkRow("none")]));
  });
  byId("scan").disabled = false;
}

byId("scan").addEventListener("click", scan);

byId("add").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = byId("ssid").value;
  const ssid = name === shown(chosen) ? chosen : name;
  const password = byId("password").value;
  byId("password").value = "";
  attempt(`${name} was not remembered`, async () => {
    await sendJson("/api/networks", { ssid, password });
    byId("ssid").value = "";
  });
});

/* While a network is joined there are no answers, or late ones to what was asked before. Another
   page may have asked for it, and the printer is back here if its address is the same. */
document.addEventListener("status", ({ detail: { asked, status } }) => {
  if (status && asked > wishedAt) {
    present = status.module.ssid;
    wish = status.join;
  }
  showJoining();
  const wanted = JSON.stringify([present, wish]);
  if (status && wanted !== fetchedFor) {
    fetchedFor = wanted;
    showNetworks();
  }
});
