"""qpopper_py, a POP3 server that takes the place of the old Unix ones.

The rooms, from the top; imports go down only, never sideways or up (``tests/test_architecture.py``):

- ``__main__``     argv -> Settings -> house -> serve
- ``doorstep``     the log, and the first words to a client
- ``sessions``     one connection, in each of the processes that serve it
- ``house``        the service: the strangers below, introduced to each other, for every role
- ``tools``        commands for administrators: mailauth, qpopper-py
- ``personality``  an old program's command line and configuration file -> Settings
- ``serve``        the world -> connections
- ``session``      a line -> a Reply
- ``logs``         events -> records, bytes -> the trace
- ``auth``         secrets, no mail
- ``store``        mail, no secrets
- ``sandbox``      what a process that talks to strangers gives up
- ``tls``          a stream over a stream
- ``protocol``     bytes to values and back; no os, no socket, no clock
- ``privilege``    who is root, and the one place where that ends
- ``arrival``      what is known of a connection before its first octet
- ``programs``     the administrator's, run with nothing of ours
- ``legacy_dbm``  ``qpopper_line``   what old programs wrote, read
- ``settings`` (and its ``tunables``, ``listeners``, ``kinds``), ``facts``, ``events``, ``errors``   words for everyone
"""

__version__ = "0.1.0"
