"""Kerberos V5: what strangers, clients and KDCs, send is taken apart in a child process, by MIT's libraries.

``child`` forks and talks to it, ``labour`` is what it does, ``krb5`` and ``gss`` are the libraries, ``keytab`` says
whether the file of keys can be trusted.
"""
