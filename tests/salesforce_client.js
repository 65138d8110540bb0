// Asks a server as jsforce does. Arguments: jsforce's bundle for browsers, and a plan as JSON:
// {url, version, token, calls: [[name, ...arguments], ...]}. Prints a line of JSON for each call: {answer} or {error}.
const fs = require("node:fs");
const vm = require("node:vm");

globalThis.window = globalThis.self = globalThis;
vm.runInThisContext(fs.readFileSync(process.argv[2], "utf8"));
const plan = JSON.parse(process.argv[3]);
const { Connection, OAuth2 } = globalThis.jsforce;
const connection = new Connection({ instanceUrl: plan.url, version: plan.version, accessToken: plan.token });

const ways = {
  upsert: (kind, records, key) => connection.sobject(kind).upsert(records, key),
  query: (soql) => connection.query(soql),
  destroy: (kind, id) => connection.sobject(kind).destroy(id),
  token: ({ client_id: clientId, client_secret: clientSecret, ...grant }) =>
    new OAuth2({ loginUrl: plan.url, clientId, clientSecret }).requestToken(grant),
};

(async () => {
  for (const [name, ...args] of plan.calls) {
    try {
      console.log(JSON.stringify({ answer: (await ways[name](...args)) ?? null }));
    } catch (error) {
      console.log(JSON.stringify({ error: error.errorCode ?? error.name, message: error.message, data: error.data }));
    }
  }
})();
