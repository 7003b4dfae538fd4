// Node loads this into core and workers where PUBLIC_URL has an IP address instead of a name: what they ask of that address
// and port goes to nginx, as graasp-inside in the network that it shares with them. A name leads there by itself.
'use strict';
const net = require('node:net');
const [address, port] = (process.env.GRAASP_INSIDE_INSTEAD_OF || '').split(' ');

// Copied, since TLS compares the certificate with what was asked for.
const led = (options) =>
  options && typeof options === 'object' && options.host === address && String(options.port) === port
    ? { ...options, host: 'graasp-inside' }
    : options;

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (first, ...rest) {
  if (Array.isArray(first)) first[0] = led(first[0]); // as net.connect hands it on: options, then what to call
  else first = led(first);
  return connect.call(this, first, ...rest);
};
