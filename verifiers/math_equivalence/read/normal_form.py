"""Rewrites LaTeX and plain text so that notations of one thing become one spelling.

`clean` is what every later tier reads: Unicode mathematics in LaTeX, sizes, spacing and
math delimiters gone. `normal_form` also drops white space: two answers with one normal
form are equal whatever they mean. Both are linear in the text and know no mathematics.

Decimal digits of every script are digits: ５ and ٥ are 5, as Unicode has them.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from typing import Final

from verifiers.extract import closing_brace

SUPERSCRIPTS: Final = dict(zip("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁽⁾ⁿˣ", "0123456789+-()nx", strict=True))
SUBSCRIPTS: Final = dict(zip("₀₁₂₃₄₅₆₇₈₉₊₋₍₎ₙₖ", "0123456789+-()nk", strict=True))
GREEK: Final = dict(
    zip(
        "αβγδεζηθικλμνξπρστυφχψωΓΔΘΛΞΠΣΦΨΩϕ",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi pi rho sigma "
        "tau upsilon phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega "
        "phi".split(),
        strict=True,
    )
)
VULGAR_FRACTIONS: Final = {
    "½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5",
    "⅗": "3/5", "⅘": "4/5", "⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8",
    "⅞": "7/8",
}  # fmt: skip
SYMBOLS: Final = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-", "＋": "+",
    "×": "*", "·": "*", "⋅": "*", "∙": "*", "•": "*", "∗": "*", "÷": "/", "∕": "/",
    "⁄": "/", "／": "/", "＝": "=", "≤": "\\le ", "≦": "\\le ", "⩽": "\\le ", "≥": "\\ge ",
    "≧": "\\ge ", "⩾": "\\ge ", "＜": "<", "＞": ">", "≠": "\\ne ", "≈": "\\approx ",
    "≅": "\\cong ", "≡": "\\equiv ", "±": "\\pm ", "∓": "\\mp ", "∞": "\\infty ",
    "√": "\\sqrt ", "∛": "\\sqrt[3]", "∜": "\\sqrt[4]", "∪": "\\cup ", "∩": "\\cap ",
    "∈": "\\in ", "∉": "\\notin ", "∖": "\\setminus ", "∅": "\\emptyset ", "ø": "\\emptyset ",
    "ℝ": "\\mathbb{R}", "ℤ": "\\mathbb{Z}", "ℕ": "\\mathbb{N}", "ℚ": "\\mathbb{Q}",
    "ℂ": "\\mathbb{C}", "°": "^\\circ ", "º": "^\\circ ", "˚": "^\\circ ", "′": "'",
    "″": "''", "∀": "\\forall ", "∃": "\\exists ", "∠": "\\angle ", "△": "\\triangle ",
    "∑": "\\sum ", "∏": "\\prod ",
    "∫": "\\int ", "⟨": "\\langle ", "⟩": "\\rangle ", "⌊": "\\lfloor ", "⌋": "\\rfloor ",
    "⌈": "\\lceil ", "⌉": "\\rceil ", "∧": "\\land ", "∨": "\\lor ", "→": "\\to ",
    "∣": "|", "｜": "|", "…": "\\ldots ", "⋯": "\\ldots ", "％": "%", "℃": "^\\circ C",
    "℉": "^\\circ F", "，": ", ", "、": ", ", "；": "; ", "：": ":", "∶": ":", "（": "(", "）": ")",
    "［": "[", "］": "]", "｛": "{", "｝": "}", "。": ".", "．": ".", "“": '"', "”": '"',
    "’": "'", "‘": "'", "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u3000": " ",
    "\u2002": " ", "\u2003": " ", "\u200a": " ", "\ufeff": "", "\u200b": " ",
    "\u2061": "", "\u2062": " ", "µ": "\\mu ", "Ω": "\\Omega ", "ℓ": "\\ell ",
}  # fmt: skip

DIGITS: Final = {
    chr(code): str(unicodedata.decimal(chr(code)))
    for code in range(0x80, sys.maxunicode + 1)
    if unicodedata.category(chr(code)) == "Nd"
}

TRANSLATION: Final = str.maketrans(
    {
        **SYMBOLS,
        **DIGITS,
        **{glyph: f"\\{name} " for glyph, name in GREEK.items()},
        **{glyph: f" {fraction}" for glyph, fraction in VULGAR_FRACTIONS.items()},
    }
)
SUPERSCRIPT_RUN: Final = re.compile(f"[{''.join(SUPERSCRIPTS)}]+")
SUBSCRIPT_RUN: Final = re.compile(f"[{''.join(SUBSCRIPTS)}]+")
CONJUNCTIONS: Final = {"或": " or ", "或者": " or ", "且": " and ", "和": " and "}
CONJUNCTION: Final = re.compile(
    r"(?<=[0-9A-Za-z)}\]$])\s*(?:或者?|且|和)\s*(?=[-−0-9A-Za-z(\\$√π±])"
)
"""Between formulas; elsewhere they are part of a text."""
RADICAL: Final = re.compile(r"√\s*(\d+|[A-Za-z])")

GROUPED_THOUSANDS: Final = re.compile(
    r"(?<=[0-9])(?:\\,|\\ |\\;|~|\{,\}|,\\! ?|\\! ?)(?=[0-9]{3}(?![0-9]))"
)
DECIMAL_COMMA: Final = re.compile(r"(?<=[0-9])\{,\}(?=[0-9])")
SPACED_THOUSANDS: Final = re.compile(r"-?[0-9]{1,3}(?: [0-9]{3})+(?:\.[0-9]+)?")

RESPELLED: Final = {
    "dfrac": "\\frac", "tfrac": "\\frac", "cfrac": "\\frac", "dbinom": "\\binom",
    "tbinom": "\\binom", "cdot": "*", "times": "*", "ast": "*", "div": "/", "leq": "\\le ",
    "leqslant": "\\le ", "leqq": "\\le ", "geq": "\\ge ", "geqslant": "\\ge ", "geqq": "\\ge ",
    "lt": "<", "gt": ">", "neq": "\\ne ", "varnothing": "\\emptyset ", "infin": "\\infty ",
    "lbrace": "\\{", "rbrace": "\\}", "lbrack": "[", "rbrack": "]", "vert": "|",
    "lvert": "|", "rvert": "|", "mid": "|", "Vert": "\\|", "colon": ":", "degree": "^\\circ ",
    "degrees": "^\\circ ", "dots": "\\ldots ", "cdots": "\\ldots ", "rightarrow": "\\to ",
    "backslash": "\\setminus ", "smallsetminus": "\\setminus ", "wedge": "\\land ",
    "vee": "\\lor ", "simeq": "\\approx ", "thickapprox": "\\approx ", "doteq": "\\approx ",
    "varphi": "\\phi ", "varepsilon": "\\epsilon ", "vartheta": "\\theta ", "iff": "\\iff ",
    "Leftrightarrow": "\\iff ", "bigcup": "\\cup ", "bigcap": "\\cap ", "dif": "d",
    "implies": "\\Rightarrow ", "R": "\\mathbb{R}", "Z": "\\mathbb{Z}", "N": "\\mathbb{N}",
    "lg": "\\lg ", "tg": "\\tan ", "ctg": "\\cot ", "arctg": "\\arctan ", "prime": "'",
    "newline": "\\\\", "partial": "d ", "textdollar": "\\$", "surd": "\\sqrt ",
}  # fmt: skip
DROPPED: Final = frozenset(
    "displaystyle textstyle scriptstyle scriptscriptstyle left right middle big Big bigg Bigg "
    "bigl bigr Bigl Bigr biggl biggr Biggl Biggr bigm limits nolimits nonumber notag rm bf it "
    "large Large small normalsize centering hfill strut allowbreak boldmath therefore".split()
)
SPACES: Final = frozenset("quad qquad space enspace thinspace par hspace".split())

COMMAND: Final = re.compile(
    r"\\\\(?:\[[^\]\[]*\])?|\\[$%#&_{}|]|\\left\s*\.|\\right\s*\.(?![0-9])"
    r"|\\(?:text)?color\s*\{[^{}]*\}"
    r"|\\(?:begin|end)\{(?:equation|align|gather|displaymath|math)\*?\}"
    r"|\\hspace\*?\{[^{}]*\}|\\[hv]?phantom\{[^{}]*\}|\\(?:label|tag)\*?\{[^{}]*\}"
    r"|\\[A-Za-z]+|\\[,;:!> ()\[\]]|~|\$+|\*\*|`"
)
PLAIN: Final = re.compile(r"[0-9+\-/., ]{1,24}")
"""Short and without anything that has two spellings."""

LOST: Final = {
    "rac{": "\\frac{", "ext{": "\\text{", "imes": "\\times ", "heta": "\\theta ",
    "egin{": "\\begin{", "oxed{": "\\boxed{", "inom{": "\\binom{", "ight": "\\right",
}  # fmt: skip
DAMAGED: Final = re.compile(
    r"\frac\{|\text\{|\times|\theta|[\x08]egin\{|[\x08]oxed\{|[\x08]inom\{|\right"
    r"|(?<![A-Za-z\\])(?:rac|ext)\{"
)
DOUBLED: Final = re.compile(r"\\\\(?=[A-Za-z]{2})")
SUPERSCRIPT_TAG: Final = re.compile(r"<sup>([^<>]{0,80})</sup>")
SUBSCRIPT_TAG: Final = re.compile(r"<sub>([^<>]{0,80})</sub>")
ORDINAL: Final = re.compile(
    r"(?<=[0-9])(?:\^?\{?\s?\\(?:text|mathrm)\{\s?(?:st|nd|rd|th)\}\}?|(?:st|nd|rd|th)\b|\^\{?th\}?)"
)
TEMPERATURE: Final = re.compile(
    r"(?:\^\s*\{?\s*\\circ\s*\}?|\\?degrees?)[\s~]*(?:\\,)?(?:\\(?:text|mathrm)\s*\{)?\s*"
    r"(C|F|[Cc](?=elsius)|[Ff](?=ahrenheit))(?:elsius|ahrenheit)?\s*\}?\s*\.?$"
)
COMPOSITION: Final = re.compile(r"\(?\s*([fghFGH])\s*\\circ\s*([fghFGH])\s*\)?\s*\(([a-z])\)")
BOLD: Final = re.compile(r"(?<![\w)\]}])\*\*(?=\S)([^*\n]{1,400})(?<=\S)\*\*(?![\w(])")
"""Markdown's `**17**`; in `x**2` a factor stands before."""
CURRENCIES: Final = {"£": "pounds", "€": "euros", "¥": "yuan", "₹": "rupees"}
CURRENCY: Final = re.compile(r"([£€¥₹])\s*([0-9][0-9.,]*)")
STRAY_PERIOD: Final = re.compile(r"\.(?=\s*(?:[\])]|\\end\b))(?<![.]\.)")
CYCLIC_GROUP: Final = re.compile(
    r"\\mathbb\s*\{?Z\}?\s*/\s*\(?([0-9]{1,9}|[a-z])\s*\)?\\mathbb\s*\{?Z\}?"
)
TURNED_BRACKETS: Final = re.compile(r"([\[\]])([^\[\](){}]{1,80}[,;][^\[\](){}]{1,80})([\[\]])")
"""An interval as it is written in France: ]0, 1] for (0, 1]."""
TRAILING: Final = " \t\r\n.,;:"
SPACE_RUN: Final = re.compile(r"\s+")
LOOSE_SPACE: Final = re.compile(r"(?<![A-Za-z0-9]) | (?![A-Za-z0-9])")
WRAPPER: Final = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|boxed|fbox|emph|underline|bm|boldsymbol)"
    r"\s*\{"
)


def clean(text: str) -> str:
    """`text` in plain LaTeX: one spelling a symbol, no sizes, no math delimiters."""
    if PLAIN.fullmatch(text):
        return trimmed(text)
    text = repaired(text.strip())
    if text.startswith("**") and text.endswith("**"):
        text = text[2:-2]
    if not text.isascii():
        text = without_unicode(text)
        text = CURRENCY.sub(lambda match: f"{match[2]} {CURRENCIES[match[1]]}", text)
    if "circ" in text or "degree" in text:
        text = COMPOSITION.sub(r"\1(\2(\3))", TEMPERATURE.sub(temperature, text))
    if "**" in text:
        text = BOLD.sub(r"\1", text)
    if "\\" in text or "$" in text or "*" in text or "~" in text or "`" in text:
        text = GROUPED_THOUSANDS.sub("", text)
        text = DECIMAL_COMMA.sub(".", text)
        text = COMMAND.sub(respell, text)
    elif "{,}" in text:
        text = DECIMAL_COMMA.sub(".", GROUPED_THOUSANDS.sub("", text))
    if "Z" in text and "/" in text:
        text = CYCLIC_GROUP.sub(r"\\mathbb{Z}_{\1}", text)
    if text[-1:] == "[" or -1 < text.find("]") < (text.find("[") % (len(text) + 1)):
        text = TURNED_BRACKETS.sub(turned, text)
    return without_wrapper(trimmed(text))


def turned(match: re.Match[str]) -> str:
    opening = "(" if match[1] == "]" else "["
    return f"{opening}{match[2]}{')' if match[3] == '[' else ']'}"


def repaired(text: str) -> str:
    """Undoes what careless escaping does to LaTeX, and reads HTML's sub- and superscripts.

    `\\frac` written into JSON or Python with one backslash too few arrives as a form feed
    and "rac", or as "rac" alone; with one too many, as `\\\\frac`.
    """
    if "\\\\" in text and "\\begin" not in text:
        text = DOUBLED.sub(r"\\", text)
    if DAMAGED.search(text):
        text = DAMAGED.sub(lambda match: LOST[match[0].strip("\f\t\b\r")], text)
    if "</su" in text:
        text = SUPERSCRIPT_TAG.sub(r"^{\1}", SUBSCRIPT_TAG.sub(r"_{\1}", text))
    return STRAY_PERIOD.sub("", ORDINAL.sub("", text))


def temperature(match: re.Match[str]) -> str:
    return " celsius" if match[1] in "Cc" else " fahrenheit"


def trimmed(text: str) -> str:
    """Without the white space and punctuation around; a closing `\\ldots` stays."""
    text = text.strip().lstrip(":,; ")
    if text.endswith("..."):
        return text
    return text.rstrip(TRAILING)


def without_unicode(text: str) -> str:
    text = CONJUNCTION.sub(lambda match: CONJUNCTIONS[match[0].strip()], text)
    text = RADICAL.sub(r"\\sqrt{\1}", text)
    text = SUPERSCRIPT_RUN.sub(lambda run: f"^{{{spelled(run[0], SUPERSCRIPTS)}}}", text)
    text = SUBSCRIPT_RUN.sub(lambda run: f"_{{{spelled(run[0], SUBSCRIPTS)}}}", text)
    return text.translate(TRANSLATION)


def spelled(run: str, table: dict[str, str]) -> str:
    return "".join(table[character] for character in run)


def respell(match: re.Match[str]) -> str:
    found = match[0]
    if found[0] != "\\":
        return "^" if found == "**" else " " if found == "~" else ""
    if found[1] in "$%#&_{}|":
        return found
    if found[1] == "\\":
        return "\\\\"
    name = found[1:]
    if not name.isalpha():
        return "" if name == "!" else " "
    if name in DROPPED or name in SPACES:
        return " "
    return RESPELLED.get(name, found)


def without_wrapper(text: str) -> str:
    """The content where all of `text` is one `\\text{…}`, `\\mathbf{…}`, `\\boxed{…}` …"""
    while (match := WRAPPER.match(text)) and text.endswith("}"):
        if closing_brace(text, match.end()) != len(text) - 1:
            break
        text = trimmed(text[match.end() : -1])
    return text


def normal_form(cleaned: str) -> str:
    """One spelling for texts that differ in white space alone.

    White space between two letters or digits stays, since it may separate: `1 1/2` is
    not `11/2`.
    """
    if " " not in cleaned and "\n" not in cleaned and "\t" not in cleaned:
        return cleaned
    text = SPACE_RUN.sub(" ", cleaned)
    return LOOSE_SPACE.sub("", text).strip()
