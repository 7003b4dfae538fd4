// Node loads this into core and workers if PUBLIC_URL has an IP address instead of a name: their connections to that address
// and port go to nginx, which is graasp-inside on the network that it shares with them. A name needs no such help.
'use strict';
const net = require('node:net');
const [address, port] = (process.env.GRAASP_INSIDE_INSTEAD_OF || '').split(' ');

// A copy, because TLS compares the certificate with the original host.
const redirected = (options) =>
  options && typeof options === 'object' && options.host === address && String(options.port) === port
    ? { ...options, host: 'graasp-inside' }
    : options;

const connect = net.Socket.prototype.connect;
net.Socket.prototype.connect = function (first, ...rest) {
  if (Array.isArray(first)) first[0] = redirected(first[0]); // as net.connect passes it on: options, then the callback
  else first = redirected(first);
  return connect.call(this, first, ...rest);
};
