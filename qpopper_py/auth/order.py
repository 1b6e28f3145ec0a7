"""Which sources are asked, in which order, and who knows accounts.

``system`` in auth.sources stands for exactly one source of system users: ``pam`` where the service pam.service has
a file of its own, else ``unix``.

With accounts.file (or accounts.domains) set and ``accounts`` not among auth.sources, the file is asked just before the
first source of system users; without root it is asked in their place, because then the system's passwords are out of
reach.  Where saslauthd or Kerberos alone is asked for passwords the file, unless named, only tells whose the maildrops
are.

With virtual.home set, ``virtual`` comes first: at an address that has a home nobody else is asked, whatever they know
of users of the same name.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.auth.sources import Directory, Source
    from qpopper_py.settings import Settings

SYSTEM = ("pam", "unix")  # sources of system users
ELSEWHERE = ("kerberos", "saslauthd")  # sources that know secrets, and nobody's account
WAITING = frozenset(("pam", "saslauthd", "oauth", "kerberos"))  # sources that may
FOLDERS = ("/etc/pam.d", "/usr/lib/pam.d")  # where Linux-PAM looks for a service's file, in this order


def service_file(service: str) -> str:
    """The file of a PAM service, or empty: there is none.  PAM takes the name in lower case."""
    paths = [f"{folder}/{service.lower()}" for folder in FOLDERS]
    return next((path for path in paths if os.path.exists(path)), "")


def system(settings: "Settings") -> str:
    """The source that ``system`` stands for."""
    return "pam" if sys.platform == "linux" and service_file(settings.pam_service) else "unix"


def explained(settings: "Settings") -> str:
    """What ``system`` stands for and why, in a few words."""
    service = settings.pam_service
    if system(settings) == "pam":
        return f"system is pam, by {service_file(service)}"
    return f"system is unix: there is no {FOLDERS[0]}/{service.lower()} (pam.service)"


def order(settings: "Settings") -> "list[str]":
    """Names of the sources in the order in which they are asked, each once."""
    names = list(dict.fromkeys(system(settings) if name == "system" else name for name in settings.auth_sources))
    return ["virtual", *with_accounts(names, settings)] if settings.virtual_home else with_accounts(names, settings)


def with_accounts(names: "list[str]", settings: "Settings") -> "list[str]":
    """The same with ``accounts`` in its place."""
    if not settings.virtual_users or "accounts" in names:
        return names
    place = next((number for number, name in enumerate(names) if name in SYSTEM), None)
    if place is None:
        return names if set(names).intersection(ELSEWHERE) else [*names, "accounts"]
    names.insert(place, "accounts")
    return names if os.geteuid() == 0 else [name for name in names if name not in SYSTEM]


def may_wait(settings: "Settings") -> bool:
    """Whether a source may have to wait for somebody: another server, or a module that wants to."""
    return not WAITING.isdisjoint(order(settings))


def build(settings: "Settings", warn: "Callable[[str], None]") -> "tuple[list[Source], list[Directory]]":
    """The sources in their order, and who knows accounts, in the same order; those that are no source come last."""
    from qpopper_py.auth.sources.mailauth import MailAuth

    names = order(settings)
    directories: dict[str, Directory] = {}
    if settings.virtual_home:
        from qpopper_py.auth.sources.virtual import Virtual

        directories["virtual"] = Virtual(settings)
    if settings.virtual_users:
        from qpopper_py.auth.sources.accounts import Accounts

        directories["accounts"] = Accounts(settings, warn)
    # Without root PAM can say nothing of others, so NSS alone tells who a user of the mailauth database is.
    # Where maildrops alone say who the users are, the system's are none unless they are named.
    usual = [] if "maildrops" in names else [system(settings) if os.geteuid() == 0 else "unix"]
    for name in [name for name in names if name in SYSTEM] or usual:
        directories[name] = _system_users(name, settings)
    if "maildrops" in names:
        from qpopper_py.auth.sources.maildrops import Maildrops

        directories["maildrops"] = Maildrops(settings)
    place = {name: number for number, name in enumerate(names)}
    known = [directories[name] for name in sorted(directories, key=lambda name: place.get(name, len(names)))]
    sources: dict[str, Source] = {**directories, "mailauth": MailAuth(settings, known)}
    if "saslauthd" in names:
        from qpopper_py.auth.sources.saslauthd import Saslauthd

        sources["saslauthd"] = Saslauthd(settings, known)
    if "oauth" in names:
        from qpopper_py.auth.sources.oauth import OAuth

        sources["oauth"] = OAuth(settings, known)
    if "certificate" in names:
        from qpopper_py.auth.sources.certificate import Certificates

        sources["certificate"] = Certificates(known)
    if "kerberos" in names:
        from qpopper_py.auth.sources.kerberos import Kerberos

        sources["kerberos"] = Kerberos(settings, known)
    if "sasldb" in names:
        from qpopper_py.auth.sources.sasldb import SaslDb

        sources["sasldb"] = SaslDb(settings, known)
    return [sources[name] for name in names], known


def _system_users(name: str, settings: "Settings") -> "Directory":
    if name == "pam":
        from qpopper_py.auth.sources.pam import PamSource

        return PamSource(settings)
    from qpopper_py.auth.sources.unix import Unix

    return Unix(settings.auth_password_age)
