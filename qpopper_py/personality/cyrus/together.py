"""Options of imapd.conf of which several make one setting, or whose meaning the service's name decides."""

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality.cyrus.values import sources, switch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qpopper_py.personality.commandline import Layer
    from qpopper_py.personality.cyrus.imapd_conf import Values


def below_configdirectory(value: str, service: str) -> "Mapping[str, object]":
    folder = value.rstrip("/")
    return {
        "shutdown_files": [f"{folder}/msg/shutdown", f"{folder}/msg/shutdown.{service}"],
        "accounts.mailboxes_db": f"{folder}/mailboxes.db",
        "telemetry.prefix": f"{service}-",  # imap/telemetry.c, since 2.5
        "auth.deny_db": f"{folder}/user_deny.db",
        "auth.deny_service": service,
    }


# (option, what it makes of its value and the service's name); of those that make the same the last one counts.
ROWS: "tuple[tuple[str, Callable[[str, str], Mapping[str, object]]], ...]" = (
    ("configdirectory", below_configdirectory),
    ("mboxlist_db_path", lambda value, _: {"accounts.mailboxes_db": value}),
    ("userdeny_db_path", lambda value, service: {"auth.deny_db": value, "auth.deny_service": service}),
    ("syslog_prefix", lambda value, service: {"log.ident": f"{value}/{service}"}),
    ("tls_ca_path", lambda value, _: {"tls.ca": value}),
    ("tls_client_ca_dir", lambda value, _: {"tls.ca": value}),
    ("tls_ca_file", lambda value, _: {"tls.ca": value}),
    ("tls_client_ca_file", lambda value, _: {"tls.ca": value}),
)


def layers(values: "Values", service: str, path: str, debugger: bool) -> "list[Layer]":
    """``debugger``: -D was given.  Raises ConfigurationError."""
    made: list[Layer] = [(values[name][1], sets(values[name][0], service)) for name, sets in ROWS if name in values]
    if debugger:
        if "debug_command" not in values:
            raise ConfigurationError(f"command line, -D: {path} has no debug_command; add it, or leave -D out")
        command, origin = values["debug_command"]
        made.append((origin, {"debug_command": command}))
    if "defaultdomain" in values and domains(values) != "off":
        domain, origin = values["defaultdomain"]
        made.append((origin, {"auth.default_domain": domain}))
    if said(values, "popsubfolders"):
        slash = said(values, "unixhierarchysep", True)
        made.append((values["popsubfolders"][1], {"subfolders": "/" if slash else "."}))
    made.extend(acls(values, path))
    made.extend(vouching(values))
    made.extend(spool(values, path))
    return made


def acls(values: "Values", path: str) -> "list[Layer]":
    """popuseacl.  Raises ConfigurationError where rights that count in Cyrus could not be known here."""
    if not said(values, "popuseacl"):
        return []
    if "configdirectory" not in values and "mboxlist_db_path" not in values:
        raise ConfigurationError(f"{path}: popuseacl needs mailboxes.db; name its configdirectory")
    mechanism, origin = values.get("auth_mech", ("unix", ""))
    if mechanism != "unix":
        raise ConfigurationError(f"{origin}: auth_mech: {mechanism}: with popuseacl only groups of unix are known here")
    groups = "groups" if said(values, "unix_group_enable", True) else "users"
    return [(values["popuseacl"][1], {"accounts.mailbox_acl": groups})]


def domains(values: "Values") -> str:
    """virtdomains: off, userid or on.  Raises ConfigurationError."""
    value, _ = values.get("virtdomains", ("off", ""))
    return "userid" if value.lower() == "userid" else "on" if said(values, "virtdomains") else "off"


def shortfalls(values: "Values") -> "list[str]":
    """What of an option that works does not."""
    if domains(values) != "on":
        return []
    value, origin = values["virtdomains"]
    return [f"{origin}: virtdomains: {value}: the address that was called gives no name a domain; as userid it works"]


def vouching(values: "Values") -> "list[Layer]":
    """Who is asked for passwords, and who the users are."""
    from qpopper_py.personality.cyrus import directives

    given = values.get("sasl_pwcheck_method")
    asked = directives.tried(sources, "sasl_pwcheck_method", given) if given else ["sasldb"]
    partition = next((where for name, (_, where) in values.items() if name.startswith("partition-")), "")
    if partition:
        asked = [*asked, "maildrops"]
    return [(given[1] if given else partition, {"auth.sources": asked})] if given or partition else []


def spool(values: "Values", path: str) -> "list[Layer]":
    """Where the mail lies: the default partition, as a template of users' folders."""
    name, _ = values.get("defaultpartition", ("", ""))
    partitions = [one for one in values if one.startswith("partition-")]
    if not name and len(partitions) == 1:
        name = partitions[0].removeprefix("partition-")
    name = name or "default"
    if not partitions:
        return []
    if f"partition-{name.lower()}" not in values:
        raise ConfigurationError(f"{path}: there is no partition-{name}, which defaultpartition names; add it")
    folder, origin = values[f"partition-{name.lower()}"]
    hashed = said(values, "hashimapspool")
    letter = "%F" if hashed and said(values, "fulldirhash") else "%M" if hashed else "%N"
    template = f"cyrus:{folder.rstrip('/').replace('%', '%%')}/{letter}"
    return [(origin, where(template))]


def where(template: str) -> "Mapping[str, object]":
    """Users are those whose folder is there; who may read it as whom, the folder's owner says."""
    return {"maildrop": template, "accounts.maildrop": template, "read_only": True}


def said(values: "Values", name: str, unless: bool = False) -> bool:
    """Whether the switch is on; ``unless`` where nothing is said."""
    if name not in values:
        return unless
    value, origin = values[name]
    try:
        return switch(value)
    except ValueError as why:
        raise ConfigurationError(f"{origin}: {name}: {value!r} {why}") from None
