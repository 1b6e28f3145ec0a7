"""The server's side of TLS, as the settings want it: one certificate for each name, all else the same.

Versions below 1.2 need signatures and ciphers that OpenSSL 3 has put away (security level 0); who sets such a minimum
gets them.  There are no session tickets: each connection has a process, and what it would seal no other could open.
"""

import ssl

from qpopper_py.errors import ConfigurationError
from qpopper_py.tls.certificate import end_point, first_of
from qpopper_py.tls.files import authorities
from qpopper_py.tls.passphrase import Passphrase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from qpopper_py.settings import Settings

VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}
GOOD = "@SECLEVEL=2:ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:!aNULL:!eNULL:!aDSS:!SHA1:!AESCCM"
OLD = "DEFAULT:!aNULL:!eNULL:!aDSS:@SECLEVEL=0"  # for minimum 1.0 and 1.1
MODES = {"ask": ssl.CERT_OPTIONAL, "require": ssl.CERT_REQUIRED}
PROTOCOL = "pop3"  # of the application layer (ALPN), as IANA has it
LONGEST_NAME = 255

WORDS = {
    "KEY_VALUES_MISMATCH": "the key is not this certificate's",
    "KEY_TYPE_MISMATCH": "the key is not this certificate's",
    "NO_CERTIFICATE_ASSIGNED": "the key is not this certificate's",
    "EE_KEY_TOO_SMALL": "the certificate's key is too short to be safe",
    "CA_KEY_TOO_SMALL": "an authority's key is too short to be safe",
    "CA_MD_TOO_WEAK": "it is signed with a digest that is no longer safe",
}


class Server:
    """What a handshake needs.  ``place`` says where the octets of a file are (:mod:`qpopper_py.tls.files`).

    Raises ConfigurationError, which names setting and file.
    """

    def __init__(self, settings: "Settings", minimum: str, place: "Callable[[str], str]" = str) -> None:
        self.settings = settings
        self.minimum = minimum
        self.place = place
        self.end_points: dict[int, bytes] = {}  # by the id of the context
        self.asked = ""  # the name that the client asked for
        self.trouble = ""  # why its certificate cannot be had
        self.context = self.made("tls.certificate", settings.tls_certificate, settings.tls_key)
        self.context.sni_callback = self.named

    def made(self, setting: str, certificate: str, key: str) -> ssl.SSLContext:
        """A context with this certificate and key."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        lower_minimum(context, VERSIONS[self.minimum])
        context.options |= (
            ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_TICKET
        )
        context.num_tickets = 0
        context.set_alpn_protocols([PROTOCOL])
        ciphers = self.settings.tls_ciphers or (GOOD if self.minimum >= "1.2" else OLD)
        try:
            context.set_ciphers(ciphers)
        except ssl.SSLError:
            raise ConfigurationError(f"tls.ciphers: OpenSSL makes nothing of {ciphers!r}") from None
        self._identify(context, setting, certificate, key)
        self._ask_for_certificates(context)
        return context

    def _identify(self, context: ssl.SSLContext, setting: str, certificate: str, key: str) -> None:
        passphrase = Passphrase(self.settings.tls_passphrase_file, self.place)
        try:
            with open(self.place(certificate), encoding="ascii", errors="replace") as file:
                text = file.read()
            self.end_points[id(context)] = end_point(first_of(text))
            context.load_cert_chain(self.place(certificate), self.place(key) if key else None, password=passphrase)
        except ssl.SSLError as why:
            words = WORDS.get(why.reason or "", "") or passphrase.trouble()
            words = words or f"OpenSSL cannot read the key ({why.reason or 'not PEM'})"
            where = f"{certificate} with {key}" if key else certificate
            raise ConfigurationError(f"{setting}: {where}: {words}") from None
        except OSError as why:
            raise ConfigurationError(f"{setting}: {certificate} or its key cannot be read: {why.strerror}") from None
        except ValueError as why:
            raise ConfigurationError(f"{setting}: {certificate}: {why}") from None

    def _ask_for_certificates(self, context: ssl.SSLContext) -> None:
        settings = self.settings
        if settings.tls_client_certificates == "no":
            return
        if not settings.tls_ca:
            mode = settings.tls_client_certificates
            raise ConfigurationError(
                f"tls.client_certificates: {mode}, but tls.ca is empty; name the authorities' file"
            )
        path = settings.tls_ca
        try:
            for path in authorities(self.place(settings.tls_ca)):
                context.load_verify_locations(path)
        except OSError as why:
            where = path if path.startswith(f"{settings.tls_ca}/") else settings.tls_ca
            raise ConfigurationError(f"tls.ca: {where}: {spoken(why)}") from None
        if settings.tls_crl:
            try:
                context.load_verify_locations(self.place(settings.tls_crl))
            except OSError as why:
                raise ConfigurationError(f"tls.crl: {settings.tls_crl}: {spoken(why)}") from None
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
        context.verify_mode = MODES[settings.tls_client_certificates]

    def named(self, tls: ssl.SSLObject, name: "str | None", _first: ssl.SSLContext) -> "int | None":
        """Take the certificate of the ``name`` that the client asks for, if there is one.  Called by OpenSSL."""
        if not name or len(name) > LONGEST_NAME:
            return None
        self.asked = name = name.lower()
        wild = "*." + name.partition(".")[2]
        for wanted in (name, wild):
            for known, certificate, key in self.settings.tls_sni:
                if known == wanted:
                    try:
                        tls.context = self.chosen = self.made("tls.sni", certificate, key)
                    except ConfigurationError as why:  # a file that changed under inetd
                        self.trouble = str(why)
                        return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
                    return None
        return None


def spoken(why: OSError) -> str:
    """What is wrong with a file of PEM."""
    return "holds nothing of the kind in PEM" if isinstance(why, ssl.SSLError) else why.strerror or "cannot be read"


def lower_minimum(context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    """Python warns of old versions at run time; we do so where the listener is made."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = version
