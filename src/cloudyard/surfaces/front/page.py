"""The page, as HTML: everything that is not ours is escaped, and there is no script."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from string import Template

from cloudyard.surfaces.front.content import Front, ModelLine, SurfaceLine
from cloudyard.surfaces.front.policy import STYLE
from cloudyard.web.health import Finding, State, overall

TEMPLATE = Template(files(__package__).joinpath("page.html").read_text(encoding="utf-8"))

_SANE_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?|\[[0-9a-fA-F:]+\](:[0-9]+)?")

WORDS = {
    State.WELL: "Everything answers",
    State.DEGRADED: "Everything that is needed answers",
    State.UNAVAILABLE: "Something does not answer",
}

REGISTER = """\
TOKEN=$(curl -s {base}{path} \\
  -H 'Content-Type: application/json' \\
  -d '{{"name": "Me", "email": "me@example.com",
       "password": "choose-a-long-one"}}' \\
  | sed 's/.*"access_token": *"\\([^"]*\\)".*/\\1/')"""

CHAT = """\
curl {base}/v1/chat/completions \\
  -H "Authorization: Bearer $TOKEN" \\
  -H 'Content-Type: application/json' \\
  -d '{{"model": "{model}",
       "messages": [{{"role": "user", "content": "Name three rivers."}}]}}'"""


def render_page(front: Front, findings: Sequence[Finding], *, scheme: str, host: str) -> str:
    """The page for a reader who reached this server under `scheme` and `host`."""
    base = f"{scheme}://{host}" if _SANE_HOST.fullmatch(host) else "http://127.0.0.1:8000"
    state = overall(findings)
    return TEMPLATE.substitute(
        style=STYLE,
        version=escape(front.version),
        profile=escape(front.profile),
        state="unwell" if state is State.UNAVAILABLE else "well",
        state_words=WORDS[state],
        surfaces=_lines(map(_surface, front.surfaces)),
        parts=_lines(map(_part, findings)),
        models=_lines(map(_model, front.models())),
        register=escape(REGISTER.format(base=base, path=front.register_path), quote=False),
        chat=escape(CHAT.format(base=base, model=front.default_model), quote=False),
    )


def _lines(rows: Iterable[str]) -> str:
    return "\n".join(rows)


def _surface(line: SurfaceLine) -> str:
    documents = f'<a href="{escape(line.documents)}">Documents</a>' if line.documents is not None else ""
    return (
        f'<tr><th scope="row">{escape(line.title)}<span>{escape(line.description)}</span></th>'
        f"<td><code>{escape(line.prefix)}</code></td>"
        f"<td>{documents}</td></tr>"
    )


def _part(finding: Finding) -> str:
    state = f"answers in {finding.seconds * 1000:.1f} ms" if finding.ok else finding.shown(details=False)
    mark = "well" if finding.ok else "unwell"
    return (
        f'<tr><th scope="row">{escape(finding.name)}</th><td>{escape(finding.backend)}</td>'
        f'<td class="{mark}">{state}</td></tr>'
    )


def _model(line: ModelLine) -> str:
    return (
        f'<tr><th scope="row"><code>{escape(line.name)}</code></th><td>{escape(line.kind)}</td>'
        f'<td>{escape(line.state)}</td><td class="number">{escape(line.input_usd)}</td>'
        f'<td class="number">{escape(line.output_usd)}</td></tr>'
    )
