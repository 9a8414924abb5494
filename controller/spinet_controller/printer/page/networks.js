"use strict";

/* What the module remembers, what is in reach, and which network it is on. */

const REJOIN_EVERY = 500;

let shownOn; // the network that the list shows as joined
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

function rememberedRow(network, present) {
  const forget = button("Forget", network.ssid, "", () => forgetNetwork(network.ssid));
  if (network.ssid === present) {
    return networkRow(network.ssid, note("joined", "here"), forget);
  }
  const join = button("Join", network.ssid, "plain", () => joinNetwork(network.ssid));
  return networkRow(network.ssid, join, forget);
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
    showAlert("");
  } catch (error) {
    showAlert(`${what}: ${error.message}`);
  }
  await showNetworks();
}

async function showNetworks() {
  try {
    const { networks } = await (await ask("/api/networks")).json();
    const { module } = await (await ask("/api/status")).json();
    shownOn = module.ssid;
    const rows = networks.map((network) => rememberedRow(network, shownOn));
    byId("networks").replaceChildren(...(rows.length ? rows : [networkRow("none")]));
  } catch (error) {
    showAlert(error.message);
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
      await servedAgain();
    });
  }
}

/* The printer comes back on the new network, here if the address is the same. */
async function servedAgain() {
  for (let tries = 0; tries < 40; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, REJOIN_EVERY));
    try {
      await ask("/api/status");
      return;
    } catch {
      continue;
    }
  }
  throw new Error("the printer is not back at this address");
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

/* The printer may still have been on the old network when we asked, or somebody else moved it. */
document.addEventListener("network", (event) => {
  if (shownOn !== undefined && event.detail !== shownOn) {
    showNetworks();
  }
});

showNetworks();
