"""What a file is, by its first bytes. What the client says counts only where the bytes allow it.

After the WHATWG MIME Sniffing Standard (https://mimesniff.spec.whatwg.org), sections 6 and 7, with more formats
of models, data and documents.
"""

import codecs
import mimetypes
import re
from dataclasses import dataclass

SNIFF_BYTES = 1445
UNKNOWN = "application/octet-stream"
PLAIN_TEXT = "text/plain"
HTML = "text/html"
XML = "application/xml"

TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,62}")

# Shown by a browser in place these run nothing; everything else is only ever downloaded.
PASSIVE = frozenset(
    {
        "application/pdf",
        "audio/mpeg",
        "audio/ogg",
        "audio/wave",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/webp",
        "text/plain",
        "video/mp4",
        "video/webm",
    }
)


@dataclass(frozen=True, slots=True)
class Signature:
    """Bytes at a place that make a file a `type`, or more exactly one that `also` fits."""

    magic: bytes
    type: str
    also: re.Pattern[str] = re.compile(r"(?!)")
    offset: int = 0
    inner: bytes = b""
    inner_offset: int = 0

    def matches(self, head: bytes) -> bool:
        """Whether a file that begins so has this signature."""
        return head.startswith(self.magic, self.offset) and head.startswith(self.inner, self.inner_offset)

    @property
    def wordy(self) -> bool:
        """Whether a text could begin so by chance."""
        return (self.magic + self.inner).isalnum() and len(self.magic + self.inner) < 8


ZIPPED = re.compile(
    r"application/(.+\+zip|x-zip-compressed|java-archive|x-npz|x-pytorch"
    r"|vnd\.(openxmlformats-officedocument|oasis\.opendocument|ms-(word|excel|powerpoint)|android\.package).*)"
)
OLE = re.compile(r"application/(msword|vnd\.ms-(excel|powerpoint|outlook|project)|vnd\.visio|x-msi)")
EBML = re.compile(r"(audio|video)/(webm|x-matroska|matroska)")

SIGNATURES = (
    Signature(b"\x89PNG\r\n\x1a\n", "image/png", re.compile("image/apng")),
    Signature(b"\xff\xd8\xff", "image/jpeg"),
    Signature(b"GIF87a", "image/gif"),
    Signature(b"GIF89a", "image/gif"),
    Signature(b"RIFF", "image/webp", inner=b"WEBPVP", inner_offset=8),
    Signature(b"RIFF", "audio/wave", re.compile(r"audio/(wav|x-wav|vnd\.wave)"), inner=b"WAVE", inner_offset=8),
    Signature(b"RIFF", "video/avi", re.compile(r"video/(x-msvideo|vnd\.avi)"), inner=b"AVI ", inner_offset=8),
    Signature(b"BM", "image/bmp", inner=b"\x00\x00\x00\x00", inner_offset=6),
    Signature(b"\x00\x00\x01\x00", "image/x-icon", re.compile(r"image/vnd\.microsoft\.icon")),
    Signature(b"II*\x00", "image/tiff", re.compile(r"image/(x-.*|dng)")),
    Signature(b"MM\x00*", "image/tiff", re.compile(r"image/(x-.*|dng)")),
    Signature(b"ftypavif", "image/avif", offset=4),
    Signature(b"ftyphei", "image/heic", re.compile("image/heif"), offset=4),
    Signature(b"ftypqt", "video/quicktime", offset=4),
    Signature(b"ftypM4A", "audio/mp4", re.compile(r"audio/x-m4a"), offset=4),
    Signature(b"ftyp", "video/mp4", re.compile(r"(audio|video)/(mp4|3gpp|3gpp2|x-m4a|x-m4v)"), offset=4),
    Signature(b"\x1aE\xdf\xa3", "video/webm", EBML),
    Signature(b"OggS\x00", "audio/ogg", re.compile(r"((audio|video)/(ogg|opus)|application/ogg)")),
    Signature(b"fLaC", "audio/flac", re.compile("audio/x-flac")),
    Signature(b"ID3", "audio/mpeg", re.compile("audio/mp3")),
    Signature(b"\xff\xfb", "audio/mpeg", re.compile("audio/mp3")),
    Signature(b"\xff\xf3", "audio/mpeg", re.compile("audio/mp3")),
    Signature(b"%PDF-", "application/pdf"),
    Signature(b"%!PS-Adobe-", "application/postscript"),
    Signature(b"PK\x03\x04", "application/zip", ZIPPED),
    Signature(b"PK\x05\x06", "application/zip", ZIPPED),
    Signature(b"\x1f\x8b\x08", "application/gzip", re.compile(r"application/(x-gzip|x-tar|x-gtar|x-tgz)")),
    Signature(b"BZh", "application/x-bzip2", re.compile("application/(bzip2|x-bzip)"), inner=b"1AY&SY", inner_offset=4),
    Signature(b"\xfd7zXZ\x00", "application/x-xz"),
    Signature(b"(\xb5/\xfd", "application/zstd"),
    Signature(b"7z\xbc\xaf'\x1c", "application/x-7z-compressed"),
    Signature(b"Rar!\x1a\x07", "application/vnd.rar", re.compile("application/x-rar-compressed")),
    Signature(b"ustar", "application/x-tar", offset=257),
    Signature(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-ole-storage", OLE),
    Signature(b"SQLite format 3\x00", "application/vnd.sqlite3", re.compile("application/x-sqlite3")),
    Signature(b"GGUF", "application/x-gguf"),
    Signature(b"PAR1", "application/vnd.apache.parquet", re.compile("application/(x-)?parquet")),
    Signature(b"ARROW1\x00\x00", "application/vnd.apache.arrow.file"),
    Signature(b"\x93NUMPY", "application/x-npy"),
    Signature(b"\x89HDF\r\n\x1a\n", "application/x-hdf5", re.compile("application/(x-hdf|hdf5|x-netcdf)")),
    Signature(b"wOFF", "font/woff"),
    Signature(b"wOF2", "font/woff2"),
    Signature(b"\x7fELF", "application/x-elf", re.compile("application/x-(executable|sharedlib|object)")),
    Signature(b"\x00asm", "application/wasm"),
)
SIGNED_TYPES = frozenset(signature.type for signature in SIGNATURES)

TEXTUAL = re.compile(
    r"(text|message)/.+|(application|image|model)/(.+\+)?(json|xml|yaml)"
    r"|application/(x-)?(jsonl|jsonlines|ndjson|json-seq|yaml|toml|javascript|ecmascript|typescript|sql|graphql|rtf"
    r"|sh|shellscript|python|httpd-php|tex|latex)"
)
MARKUP = re.compile(
    rb"\s*<(!--|(!doctype html|html|head|body|title|script|iframe|style|table|svg|h1|div|font|br|a|b|p)[\s>])", re.I
)
XML_START = re.compile(rb"\s*<\?xml\s")
UNICODE_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE)
TEXT_BYTES = bytes(b for b in range(256) if b >= 0x20 or b in b"\t\n\x0c\r\x1b")

OFFICE = "application/vnd.openxmlformats-officedocument"
SUFFIXES = mimetypes.MimeTypes()  # the standard library's own table, whatever the machine's files add to it
for _suffix, _type in (
    (".docx", f"{OFFICE}.wordprocessingml.document"),
    (".gguf", "application/x-gguf"),
    (".ipynb", "application/x-ipynb+json"),
    (".jsonl", "application/jsonl"),
    (".md", "text/markdown"),
    (".parquet", "application/vnd.apache.parquet"),
    (".pptx", f"{OFFICE}.presentationml.presentation"),
    (".toml", "application/toml"),
    (".xlsx", f"{OFFICE}.spreadsheetml.sheet"),
    (".yaml", "application/yaml"),
    (".yml", "application/yaml"),
):
    SUFFIXES.add_type(_type, _suffix)


def content_type_of(head: bytes, declared: str | None, filename: str) -> str:
    """The type of a file that begins with `head` (1445 bytes or all of it), without parameters, in lower case.

    `declared` is the client's Content-Type; without a useful one the name's suffix stands in for it.
    """
    claimed = _claimed(declared, filename)
    is_text = _is_text(head)
    for signature in SIGNATURES:
        if signature.matches(head) and not (is_text and signature.wordy):
            return claimed if signature.also.fullmatch(claimed) else signature.type
    if not is_text:
        return UNKNOWN if TEXTUAL.fullmatch(claimed) or claimed in SIGNED_TYPES else claimed
    if TEXTUAL.fullmatch(claimed):
        return claimed
    return _text_type(head)


def is_passive(content_type: str) -> bool:
    """Whether a browser may show the type in place; other types must be sent as an attachment."""
    return content_type in PASSIVE


def _claimed(declared: str | None, filename: str) -> str:
    essence = (declared or "").partition(";")[0].strip().lower()
    if essence != UNKNOWN and TYPE.fullmatch(essence):
        return essence
    guessed, encoding = SUFFIXES.guess_type(filename)
    return UNKNOWN if guessed is None or encoding else guessed


def _is_text(head: bytes) -> bool:
    return head.startswith(UNICODE_MARKS) or not head.translate(None, delete=TEXT_BYTES)


def _text_type(head: bytes) -> str:
    if MARKUP.match(head):
        return HTML
    return XML if XML_START.match(head) else PLAIN_TEXT
