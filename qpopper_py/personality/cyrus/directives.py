"""What each option of imapd.conf(5) that pop3d reads means here.

A row's ``sets`` makes settings of the value; a row with ``why`` and no ``sets`` has no effect; REFUSED would let
somebody in, or in the clear, whom Cyrus kept out.  man/cyrus-pop3d.8 has the same table, and a test compares them.
"""

from qpopper_py.errors import ConfigurationError
from qpopper_py.personality.cyrus import values as read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeVar

    from qpopper_py.personality.commandline import Layer
    from qpopper_py.personality.cyrus.imapd_conf import Values

    T = TypeVar("T")
    Sets = Callable[[str], Mapping[str, object]]


def to(name: str, reader: "Callable[[str], object]" = str) -> "Sets":
    """The option is one setting."""
    return lambda value: {name: reader(value)}


def switched(name: str, on: object = True, off: object = False) -> "Sets":
    return lambda value: {name: on if read.switch(value) else off}


def certificate(value: str) -> "Mapping[str, object]":
    return {"tls.mode": "no"} if value == "disabled" else {"tls.certificate": value}


def key(value: str) -> "Mapping[str, object]":
    return {"tls.mode": "no"} if value == "disabled" else {"tls.key": value}


WORKS: "dict[str, Sets]" = {
    "allowapop": switched("apop.stamp", "auto", "never"),
    "allowplaintext": switched("auth.cleartext", "always", "tls"),
    "allowstarttls": lambda value: {} if read.switch(value) else {"tls.mode": "no"},
    "chatty": switched("debug"),
    "configdirectory": lambda value: {"telemetry.folder": f"{value.rstrip('/')}/log"},
    "failedloginpause": to("auth.refusal_delay", read.seconds),
    "loginrealms": lambda value: {"auth.domains": value.split()},
    "maxlogins_per_host": to("limits.sessions_address"),
    "maxlogins_per_user": to("limits.sessions_user"),
    "plaintextloginpause": to("auth.login_pause", read.seconds),
    "popexpiretime": to("expire", read.days),
    "popuseimapflags": switched("deletion_marks", "hidden", "ignored"),
    "popminpoll": to("login_delay", read.minutes),
    "poppollpadding": to("login_delay_padding", lambda value: max(1, int(value))),
    "poptimeout": to("timeout", lambda value: max(600, read.minutes(value))),
    "readonly": switched("read_only"),
    "sasl_mech_list": lambda value: {"auth.mechanisms": read.mechanisms(value)},
    "sasl_minimum_layer": to("auth.minimum_layer"),
    "sasl_saslauthd_path": to("saslauthd.socket", read.socket),
    "sasl_sasldb_path": to("sasldb.file"),
    "serverinfo": to("server_info"),
    "servername": to("hostname"),
    "syslog_facility": to("log.facility", read.facility),
    "telemetry_bysessionid": switched("telemetry.name", "session", "pid"),
    "tls_cert_file": certificate,
    "tls_cipher_list": to("tls.ciphers"),
    "tls_ciphers": to("tls.ciphers"),
    "tls_client_certs": to("tls.client_certificates", read.client_certificates),
    "tls_crl_file": to("tls.crl"),
    "tls_key_file": key,
    "tls_require_cert": lambda value: {"tls.client_certificates": "require"} if read.switch(value) else {},
    "tls_required": switched("tls.required"),
    "tls_server_cert": certificate,
    "tls_server_key": key,
    "tls_versions": to("tls.minimum", read.oldest_tls),
    "uidl_format": to("uidl", read.uidl),
    "userdeny_db": lambda _: {},  # flat, by now; together.py has the place
    "username_tolower": switched("auth.lowercase_user"),
}
# Read elsewhere: several of them make one setting, or the command line decides.
TOGETHER = {
    "debug_command": "run at the start with -D",
    "defaultdomain": "with virtdomains, a name at this domain is the name without it (auth.default_domain)",
    "defaultpartition": "which partition holds the mail",
    "fulldirhash": "how folders of the partition are named",
    "hashimapspool": "how folders of the partition are named",
    "mboxlist_db_path": "where mailboxes.db lies (accounts.mailboxes_db)",
    "partition-NAME": "where the mail lies (the one that defaultpartition names)",
    "sasl_pwcheck_method": "auth.sources: saslauthd, auxprop (sasldb), pam; where there is a partition, maildrops too",
    "syslog_prefix": "log.ident: PREFIX/SERVICE",
    "popuseacl": "only whom the ACL in mailboxes.db lets read (r) a mailbox may open it (accounts.mailbox_acl)",
    "popsubfolders": "USER name+folder opens a folder of the user's (subfolders)",
    "tls_ca_file": "authorities of clients' certificates (tls.ca)",
    "tls_ca_path": "a folder of them, where no file is named (tls.ca)",
    "tls_client_ca_dir": "the same",
    "tls_client_ca_file": "as tls_ca_file",
    "unixhierarchysep": "what stands between the levels of such a folder: a slash, or with no a dot",
    "unix_group_enable": "whether the groups of the system count in an ACL, with popuseacl",
    "userdeny_db_path": "where user_deny.db lies, if not in configdirectory (auth.deny_db)",
    "virtdomains": "the mail of user@domain is below domain/ in the partition, in any case",
}
NO_EFFECT = {
    "admins": "nobody logs in as somebody else, by SASL neither, and the user of such a name is one like others",
    "altnamespace": "the folders of popsubfolders are below the INBOX, in any case",
    "auditlog": "the log has logins and what was deleted, in records of its own",
    "autocreate_quota": "nobody's mailbox is made by logging in",
    "disconnect_on_vanished_mailbox": "a maildrop that vanishes ends the session, in any case",
    "iolog": "statistics = true tells what a session moved",
    "sasl_auto_transition": "no secret is ever stored by logging in",
    "sasl_log_level": "the log has every refusal with its reason",
    "sasl_maximum_layer": "privacy is TLS's; there is no SASL layer to be too strong",
    "srvtab": "Kerberos 4; for -k see kerberos.keytab",
    "statuscache": "a database of Cyrus'",
    "timeout": "imapd's; pop3d's is poptimeout",
    "tls_compression": "TLS is never compressed",
    "tls_eccurve": "which groups there are, OpenSSL says",
    "tls_prefer_server_ciphers": "the server's order of ciphers counts, in any case",
    "tls_server_ca_dir": "name the certificates above the server's in the file of tls_server_cert, behind it",
    "tls_server_ca_file": "as tls_server_ca_dir",
    "tls_server_dhparam": "there are no ciphers with parameters of one's own",
    "tls_session_timeout": "sessions of TLS are OpenSSL's, by its defaults",
    "umask": "what is written is the owner's alone",
}
NO_SQL = (
    "secrets in other databases are not asked; run saslauthd -a pam with pam_mysql, pam_pgsql or pam_ldap and say"
    " sasl_pwcheck_method: saslauthd, or set them with saslpasswd2 and say sasl_auxprop_plugin: sasldb"
)
# (option, the values that are refused, why)
REFUSED = (
    ("allowanonymouslogin", read.switch, "the mail of the user anonymous is nobody's without a password; say no"),
    ("sasl_auxprop_plugin", lambda value: not {"sql", "ldapdb"}.isdisjoint(value.lower().split()), NO_SQL),
    ("sasl_sql_select", bool, NO_SQL),
    (
        "userdeny_db",
        lambda value: value != "flat",
        "only a flat one is read; run: cvt_cyrusdb OLD FORM NEW flat; put the new one in its place, and say flat",
    ),
)
OLD_NAMES = {  # up to 2.4; for the first two pop3's own counted before the general one
    "tls_pop3_cert_file": "tls_cert_file",
    "tls_pop3_key_file": "tls_key_file",
    "autocreatequota": "autocreate_quota",
}
ELSEWHERE = "is no option of pop3d's that is known here, so other programs may read it"


def settings_of(values: "Values", service: str, path: str, debugger: bool, notes: "list[str]") -> "list[Layer]":
    """The layers that the options make, one each; what has none is told in ``notes``.  ConfigurationError."""
    chosen = own(values, service)
    for name, wrong, why in REFUSED:
        if name in chosen and tried(wrong, name, chosen[name]):
            value, origin = chosen[name]
            raise ConfigurationError(f"{origin}: {name}: {value}: {why}")
    layers: list[Layer] = []
    refused = {name for name, _, _ in REFUSED}
    for name, (value, origin) in chosen.items():
        if name in WORKS:
            sets = tried(WORKS[name], name, (value, origin))
            layers.append((origin, sets))
        elif name in NO_EFFECT:
            notes.append(f"{origin}: {name} has no effect: {NO_EFFECT[name]}")
        elif name not in refused and name not in TOGETHER and not name.startswith("partition-"):
            notes.append(f"{origin}: {name} {ELSEWHERE}")
    from qpopper_py.personality.cyrus import together

    notes.extend(together.shortfalls(chosen))
    return [*together.layers(chosen, service, path, debugger), *layers]


def own(values: "Values", service: str) -> "Values":
    """The options by their plain names of now: what begins with the service's name counts for it, and before others."""
    prefix = service.lower() + "_"
    ours = {name.removeprefix(prefix): value for name, value in values.items() if name.startswith(prefix)}
    plain = {name: value for name, value in values.items() if not name.startswith(prefix)}
    old = {new: values[name] for name, new in OLD_NAMES.items() if name in values}
    return {**{name: value for name, value in plain.items() if name not in OLD_NAMES}, **old, **ours}


def tried(reader: "Callable[[str], T]", name: str, given: "tuple[str, str]") -> "T":
    value, origin = given
    try:
        return reader(value)
    except ValueError as why:
        raise ConfigurationError(f"{origin}: {name}: {value!r} {why}") from None
