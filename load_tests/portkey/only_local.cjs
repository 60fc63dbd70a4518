// Loaded before Portkey's gateway, which listens on every address and asks for no key: here it
// listens on 127.0.0.1 alone.
const { Server } = require("node:net");

const listen = Server.prototype.listen;

Server.prototype.listen = function (port, ...rest) {
  const callback = rest.find((it) => typeof it === "function");
  return listen.call(this, { port: Number(port), host: "127.0.0.1" }, callback);
};
