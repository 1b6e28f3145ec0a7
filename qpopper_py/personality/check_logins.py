"""--check-config on who may come and who vouches for them; see :mod:`qpopper_py.personality.check`."""

import os
import stat

from qpopper_py import libraries
from qpopper_py.auth import order
from qpopper_py.auth.pam import library
from qpopper_py.auth.policy import listed, unfit
from qpopper_py.auth.sources.saslauthd import refuse_untrusted
from qpopper_py.auth.userdeny import message_to
from qpopper_py.errors import CredentialStoreError, MissingLibrary
from qpopper_py.personality.check import Finding, hint, kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qpopper_py.settings import Settings


def sources(settings: "Settings", euid: int) -> "Iterator[Finding]":
    """Somebody vouches for passwords; and which source is asked about system users."""
    if not settings.auth_sources:
        yield Finding("auth.sources: it is empty, so nobody can log in; name mailauth, system or accounts")
    if "system" in settings.auth_sources:
        yield hint(f"auth.sources: {order.explained(settings)}")
    names = order.order(settings)
    if set(order.SYSTEM) <= set(names):
        yield hint(
            "auth.sources: pam and unix are both asked, so a user whom the first does not know reaches the other"
        )
    if not set(order.SYSTEM).isdisjoint(names) and euid != 0 and not settings.virtual_users:
        yield hint(f"auth.sources: uid {euid} cannot check the system's passwords; start as root, or use accounts")
    if "pam" in names:
        yield from pam(settings)
    if "saslauthd" in names:
        yield from saslauthd(settings)
    if "kerberos" in names:
        yield from kerberos(settings)
    if "maildrops" in names and not settings.accounts_maildrop:
        yield Finding("auth.sources: maildrops says who the users are by accounts.maildrop, which is empty; set it")
    if "sasldb" in names:
        yield from sasldb(settings)


def virtual(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """Virtual homes are folders by address, in which nobody but root decides who has mail."""
    if not settings.virtual_home:
        return
    import ipaddress

    home = settings.virtual_home
    try:
        names = sorted(os.listdir(home))
    except OSError as why:
        yield Finding(f"virtual.home: {home}: {why.strerror}; make it, or unset it")
        return
    for name in names:
        try:
            spelled = str(ipaddress.ip_address(name))
        except ValueError:
            yield hint(f"virtual.home: {home}/{name} is no address, so nobody calls it")
            continue
        if spelled != name:
            yield Finding(f"virtual.home: {home}/{name} must be called {spelled}, as connections have it")
    for folder in (home, *(f"{home}/{name}/auth" for name in names)):
        found = kind(folder)
        if isinstance(found, str):
            yield hint(f"virtual.home: {folder}: {found}")
        elif found.st_mode & 0o022 or found.st_uid != 0:
            yield Finding(
                f"virtual.home: who can write {folder} lets anybody in; run: chown root {folder}; chmod go-w {folder}"
            )


def mechanisms(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """SCRAM has its key, and clients do not choose what most users cannot log in by."""
    if any(name.startswith("SCRAM") for name in settings.auth_mechanisms) and not settings.state_dir:
        yield Finding("auth.mechanisms: SCRAM keeps a key in state_dir, which is empty; set it")
    if settings.auth_mechanisms or "mailauth" not in settings.auth_sources or not settings.mailauth_database:
        return
    from qpopper_py.stamp import has_apop_entries

    try:
        if has_apop_entries(settings.mailauth_database):
            yield hint(
                "auth.mechanisms: there are APOP entries, so CRAM-MD5 and SCRAM are announced to everybody, and some"
                " clients of users without an entry try nothing else; with such users name PLAIN and LOGIN alone"
            )
    except CredentialStoreError:
        pass  # mailauth.database says so


def tokens(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """OAuth tokens can be checked."""
    if "oauth" not in settings.auth_sources:
        return
    from qpopper_py.auth import token_keys
    from qpopper_py.auth.sources.oauth import unfit

    if why := unfit(settings):
        yield Finding(why)
    elif settings.oauth_keys:
        try:
            token_keys.read(settings.oauth_keys)
            libraries.need("jwt")
            libraries.need("cryptography")
        except (CredentialStoreError, MissingLibrary) as wrong:
            yield Finding(str(wrong))


def pam(settings: "Settings") -> "Iterator[Finding]":
    """PAM is here, and its service is configured."""
    service = settings.pam_service
    try:
        library()
    except MissingLibrary as why:
        yield Finding(f"auth.sources: {why}")
    if not order.service_file(service):
        yield hint(
            f"pam.service: there is no /etc/pam.d/{service}, so PAM goes by /etc/pam.d/other; see etc/pam.d/pop3"
        )
    elif settings.auth_c2 and settings.c2_failures:
        yield hint("auth.c2: PAM is asked too, so failures may be counted by pam_faillock and by c2.failures")


def saslauthd(settings: "Settings") -> "Iterator[Finding]":
    """saslauthd's socket is there, and only it can have made it."""
    path = settings.saslauthd_socket
    facts = kind(path)
    if isinstance(facts, str) or not stat.S_ISSOCK(facts.st_mode):
        what = facts if isinstance(facts, str) else "is no socket"
        yield Finding(f"saslauthd.socket: {path}: {what}; start saslauthd, or set saslauthd.socket to its mux")
        return
    try:
        refuse_untrusted(path)
    except CredentialStoreError as why:
        yield Finding(str(why))


def sasldb(settings: "Settings") -> "Iterator[Finding]":
    """The database is there, and can be read."""
    from qpopper_py.auth.sources.sasldb import SaslDb

    try:
        if not SaslDb(settings, ()).ready():
            yield Finding(f"sasldb.file: {settings.sasldb_file}: there is none, or no secret in it; see saslpasswd2(8)")
    except CredentialStoreError as why:
        yield Finding(str(why))


def kerberos(settings: "Settings") -> "Iterator[Finding]":
    """The libraries are here, and the service's keys are there and nobody else's."""
    from qpopper_py.auth.kerberos.labour import load

    try:
        load(settings)
    except (CredentialStoreError, MissingLibrary) as why:
        yield Finding(f"auth.sources: kerberos: {why}")


def fronts(settings: "Settings", euid: int) -> "Iterator[Finding]":
    """Who talks to clients before they have logged in."""
    from qpopper_py.personality.check import known

    user, root = settings.privilege_user, settings.privilege_chroot
    if euid == 0 and not known(user):
        what = "so nobody talks to clients before the login"
        yield hint(f"privilege.user: there is no user {user}, {what}; run: useradd -r {user}")
    if root and os.path.isdir(root) and euid == 0 and os.listdir(root):
        yield Finding(f"privilege.chroot: {root} is not empty; name another folder, which is made")


def policy(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """The lists of users can be read; what they hold is not looked at."""
    try:
        if settings.auth_check_shells:
            unfit("")
        for path in filter(None, (settings.auth_auth_file, settings.auth_nonauth_file)):
            listed("root", path)
        if settings.auth_deny_db:
            message_to("root", settings.auth_deny_service, settings.auth_deny_db)
    except CredentialStoreError as why:
        yield Finding(str(why))
    path = settings.auth_auth_file
    if path and not os.path.exists(path):
        yield Finding(f"auth.auth_file: {path} is not there, so nobody can log in; make it, a login name a line")
    path = settings.auth_nonauth_file
    if path and not os.path.exists(path):
        yield hint(f"auth.nonauth_file: {path} is not there, so it keeps nobody out")


def wrappers(settings: "Settings", _euid: int) -> "Iterator[Finding]":
    """The tables of TCP wrappers can be read."""
    if settings.hosts_access == "off":
        return
    tables = [path for path in (settings.hosts_access_allow, settings.hosts_access_deny) if path]
    for path in tables:
        if os.path.lexists(path) and not os.access(path, os.R_OK):
            yield Finding(f"hosts_access: {path} cannot be read, so nobody would be let in; mend its mode")
    if not any(map(os.path.exists, tables)):
        yield hint(f"hosts_access: there is neither of {', '.join(tables) or 'its tables'}, so everybody is let in")
