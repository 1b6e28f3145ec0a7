"""TLS for connections: contexts from the settings, a stream over another stream, and what is known of it afterwards.

``files`` keeps copies of certificates and keys that were found good, ``context`` makes of them what a server needs,
``passphrase`` opens a key, ``stream`` speaks TLS where a session speaks lines, ``certificate`` computes RFC 5929's
tls-server-end-point, ``report`` carries the facts to another process.  Only ``context`` and ``stream`` import ssl, and
only processes that speak TLS import them: a key is in the memory of no other.
"""
