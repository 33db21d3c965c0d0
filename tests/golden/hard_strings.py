"""Strings on which tokenizers go wrong, written out and generated. Deterministic; used by make_tokens.py."""

LANGUAGES = [
    "The quick brown fox jumps over the lazy dog.",
    "Hello, world!",
    "Voix ambiguë d'un cœur qui préfère les jattes de kiwis",
    "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich – ÄÖÜẞ",
    "El pingüino Wenceslao hizo kilómetros; ¿cuántos? ¡Muchos!",
    "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Pchnąć w tę łódź jeża lub ośm skrzyń fig",
    "Съешь же ещё этих мягких французских булок, да выпей чаю",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία· ΐ ΰ",
    "דג סקרן שט בים מאוכזב ולפתע מצא חברה",
    "שָׁלוֹם עֲלֵיכֶם",
    "نص حكيم له سر قاطع وذو شأن عظيم",
    "الْعَرَبِيَّةُ ـ ١٢٣",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में",
    "আমি বাংলায় গান গাই",
    "யாமறிந்த மொழிகளிலே தமிழ்மொழி",
    "ฉันกินข้าวแล้ว เธอล่ะ",
    "ລາວ ພາສາ ໑໒໓",
    "မြန်မာဘာသာ",
    "ភាសាខ្មែរ",
    "ཨོཾ་མ་ཎི་པདྨེ་ཧཱུྃ",
    "ქართული ენა ႠႡႢ ᲐᲑᲒ",
    "Հայերեն լեզու",
    "አማርኛ ፊደል ፩፪፫",
    "我能吞下玻璃而不伤身体。",
    "臺灣的繁體字，「引號」與《書名》",
    "いろはにほへと ちりぬるを カタカナ ﾊﾝｶｸ ー々〆",
    "다람쥐 헌 쳇바퀴에 타고파",
    "한글",  # conjoining jamo
    "Tiếng Việt có sáu thanh điệu: ngang, huyền, sắc, hỏi, ngã, nặng",
    "ᚠᚢᚦᚨᚱᚲ ᛮᛯᛰ",
    "𐌰𐌱𐌲 𐍁 𐎠𐏑 𒀀𒐀 𓀀",
    "𠀀𠮷𪚥 𝔄𝔅 𝟎𝟗 𝒽",
    "ᏣᎳᎩ ꭰꭱ",
    "ᠮᠣᠩᠭᠣᠯ ᠑᠒",
    "ߒߞߏ ߁߂",
    "ⵜⴰⵎⴰⵣⵉⵖⵜ",
    "İstanbul ıI iİ ſ ŉ ǆǅǄ ﬁ ﬀ",
]

EMOJI = [
    "😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🏴‍☠️", "🇩🇪🇫🇷🇯", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "❤️ ❤ ♥︎", "1️⃣ #️⃣ *️⃣", "👨🏿‍💻 codes", "🫠🪿🫨", "😀😀😀😀😀😀😀😀",
    "a😀b 😀 c", "☺️.☺.", "©️®️™️ ℹ️", "🤷‍♀️?!", "⌚⏰⏳", "🀄🃏", "🅰️🅱️", "🈁㊙️",
]

COMBINING = [
    "é e\u0301 e\u0301\u0302\u0303", "a\u0300\u0301\u0302\u0303\u0304b", "\u0301 alone", " \u0301 after a space", "Z\u0351\u036b\u0343a\u0363l\u0348g\u0321o\u033a",
    "न\u094d", "क\u094d\u200dष क\u094d\u200cष", "1\u0301 2\u20e3", "x\u20d7 + y\u20d7", "\u0d66\u0d4d", "ก\u0e47\u0e48",
]

NUMBERS = [
    "0", "7", "10", "123", "2024", "1234567890", "3.14159", "1,000,000", "-42", "+1", "1e-10", "0x1F", "0b1010", "v1.2.3", "1st 2nd 3rd", "50%", "$5", "12:34:56", "2024-06-07T08:09:10Z",
    " 1", "  1", "1 ", "1  2", "a1b2c3", "١٢٣٤", "۰۱۲", "०१२३", "๑๒๓", "零一二三", "〇", "²³¹", "x²+y³", "H₂O", "⅓ ½ ¾ 1½", "ⅣⅧ ⅿ", "①②③ ⑴ ⒈ ⓪", "㊀㊁ ㈠", "𝟘𝟙𝟚", "１２３", "፩፪", "௧௨", "𐄇𐄈", "৴৵", "༪༫",
    "Ⅷth", "½cup", " ½", "\t7", "\n7", "7\n", "a\u00b2b", "1٢3", "9²⁹", "𒐀𒐁", "꧐꧑", "٣٫١٤", "1_000", "1'000", "1’s", "2's", "80's", "'90s", "3D", "4x4", "٪٥", "№5", "#1", "1\u200b2", "1\u00a02", "1\u202f000", "00000000000000000000", "31415926535897932384626433",
]

WHITE_SPACE = [
    " ", "  ", "   ", "\t", "\n", "\r", "\r\n", "\n\n", "\n\n\n", " \n", "\n ", " \n ", "\t\t", " \t", "\t ", "\x0b", "\x0c", "\x85", "\u00a0", "\u1680", "\u2000\u2001", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
    "\u200b", "\ufeff", "\u2060", "\u180e", "\u00ad", "a b", "a  b", "a   b", "a\tb", "a\t\tb", "a\nb", "a\n\nb", "a\r\nb", "a \nb", "a\n b", "a  \n  b", "a\u00a0b", "a\u00a0 b", "a \u00a0b", "a\u3000b", "a \u3000 b",
    "a\u2028b", "a\u200bb", "a \u200b b", "\ufeffBOM", " leading", "  leading", "trailing ", "trailing  ", "trailing\n", "trailing\n\n", "trailing\t", " both ", "  both  ", "a\x85b", "a\x0bb", "a\x0cb", "x \r\n y", "\r\r\n\n",
    "    indented", "\tindented", "\t    mixed", "    \tmixed", "a \t \n \t b", " .", "  .", " ,a", "\u00a0.", "\u00a0a", "\u00a0\u00a0a", "\u00a01", "\n1", " \n1", "\n.", "\n\n.", "\n\na", "\n\n  a", " " * 17, "\n" * 9, "\t" * 12, (" " * 31) + "x", " \u3000\u3000x", "a" + " " * 63 + "b", "a" + "\n" * 40 + "b", "\u2003em", "\u2009thin",
]

CONTRACTIONS = [
    "I'm you're he's they've we'd I'll can't", "I'M YOU'RE HE'S THEY'VE WE'D I'LL CAN'T", "I’m you’re he’s they’ve we’d I’ll can’t", "'s 't 're 've 'm 'll 'd", "'S 'T 'RE 'VE 'M 'LL 'D", "'sound 'tis 'reason 'venue 'more 'llama 'done",
    "''s", "'''", "'", "' s", " 's", "  's", "\n's", "a'", "a''s", "a's's", "rock'n'roll", "o'clock", "y'all'd've", "d'être l'été", "'l 'v 'r", "'lL 'Ll 'rE 'Ve", "'ſ 'ſt", "1's", "é's", "中's", "😀's", ".'s", "'\u0301s", "x'ss", "don''t", "\"don't\"", "`'d`", "'s1", "we'vefoo", "'re're", "`s", "´s", "ʼs", "＇s",
]

CODE = [
    "def f(x):\n    return x ** 2\n", "for (int i = 0; i < n; ++i) { a[i] += b[i]; }", "#include <vector>\n\nint main() {\n\treturn 0;\n}\n", "SELECT * FROM t WHERE a >= 10 AND b != 'x';", "<div class=\"a\">&nbsp;</div>", "{\"key\": [1, 2.5, null, true]}",
    "https://example.org/a/b?c=d&e=%20#f", "user@example.org", "C:\\Users\\name\\file.txt", "/usr/local/bin", "$HOME/.config", "a->b::c.d()", "x = y if z else w  # comment", "\\frac{a}{b} \\sum_{i=0}^{n}", "```python\nprint('hi')\n```", "!=<=>===!==", "/* c */ // d", "@decorator", "__init__", "snake_case camelCase PascalCase SCREAMING_CASE kebab-case",
    "\\n \\t \\\\", "0xDEADBEEF", "a+b=c", "if(!x)return;", "λx.x", "∀x∈ℝ: x²≥0", "→ ⇒ ↔ ≤ ≥ ≠ ∞ ∑ ∫ √", "────┼━━━", "█▓▒░", "~/.bashrc", "foo(bar)[baz]{qux}", "%s %d %-5.2f", "<<EOF\nEOF", "\x1b[31mred\x1b[0m", "1<<20", "i++ + ++i", "---\ntitle: x\n---\n", "- [ ] todo\n- [x] done", "| a | b |\n|---|---|", "&amp;&lt;",
]

SPECIALS = [
    "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|im_start|>user\nHi<|im_end|>\n", "a<|im_end|>b", "a <|im_end|> b", "<|im_start|><|im_start|>", "<|im_start|", "<|im_start|>>", "<<|im_start|>", "<|IM_START|>", "< |im_start|>", "<repo_name>x<file_sep>y", "<reponame>", "<repo_name", "<filename>a.py<gh_stars>1", "<issue_start>t<issue_comment>c<issue_closed>",
    "<jupyter_start><jupyter_text>a<jupyter_code>b<jupyter_output>c", "<empty_output>", "<jupyter_script>", "1<|im_end|>2", "it's<|im_end|>'s", "  <|im_end|>  ", "\n\n<|im_end|>\n\n", "<|endoftext|><|endoftext|>\n<|endoftext|>", "é<|im_start|>é", "<|im_start|>system\nYou are<|im_end|>\n<|im_start|>user\nWhat is 2+2?<|im_end|>\n<|im_start|>assistant\n", "<s></s><unk><pad>", "<|system|>",
]

CONTROLS = (
    [chr(c) for c in range(0x20) if chr(c) not in "\t\n\r\x0b\x0c"]
    + ["\x7f", "\x80", "\x9f", "a\x00b", "a\x01b", "\x00\x00", "!\x04!", "a\x04b \x06", "\x13\x14", "\ue000", "\uf8ff", "a\ue000b", "\U000f0000", "\U00100000", "\U0010fffd", "\ufffd", "\ufffe", "\uffff", "\U0001ffff", "\U00040000", "\U000e0001", "\u202eabc\u202c", "\u2066x\u2069", "\ufff9a\ufffab\ufffb", "\u0378", "\U0001f8ff", "\u061c", "\u034f"]
)

RUNS = [
    "a" * 300, "A" * 64, "ab" * 100, "aaaaaaaaab" * 20, "é" * 60, "中" * 60, "!" * 100, "=" * 80, "-" * 33, "." * 50, "_" * 40, "ha" * 50, "\U0001f600" * 30, "'" * 30, "<" * 50, "0" * 100, "\u200b" * 20, "\u0301" * 30, "a " * 60, " a" * 60, "a\n" * 40, "Ǆ" * 10, "the" * 40, " the" * 40, "\u00a0" * 20, "supercalifragilisticexpialidocious" * 3, "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
]

# Assigned after Unicode 15.0: which class they have must not depend on the system's tables.
NEW_CHARACTERS = ["a\u1c89a", "a\ua7cba \ua7dc", "\U000105c0\U000105f3x", "1\U00010d401", "a\U0002ebf0b", "\U0001ccf0\U0001ccf9", "\U000116d0x", "\U00016d70 \U00016d40", "\U0001e5f1", "\U00013460a"]


def splitmix64(seed):
    """Endless 64-bit numbers (Steele, Lea & Flood 2014), so that the choice depends on no library."""
    mask, state = (1 << 64) - 1, seed
    while True:
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        yield z ^ (z >> 31)


def mixtures(count):
    """Random joints of everything that a scanner has to tell apart."""
    parts = [" ", "  ", "   ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u200b", "'", "'s", "'S", "’s", "'ll", "'re", "a", "the", "é", "e\u0301", "中文", "ب", "न\u094d", "Ж", "1", "42", "²", "½", "Ⅷ", "٣", "一", ".", ",", "!", "...", "-", "_", "(", "😀", "👍🏽", "\u200d", "\ufe0f", "\x01", "\x7f", "\ue000", "_x", "<|im_end|>", "<", "|>", "𝟗", "ſ", "ǅ", "ª", "º", "ー", "々", "〇", "\u0301", "$", "€", "→"]
    numbers = splitmix64(3)
    for _ in range(count):
        length = 2 + next(numbers) % 14
        yield "".join(parts[next(numbers) % len(parts)] for _ in range(length))


def code_points(count):
    """Random characters of all planes, in short words."""
    blocks = [(0x20, 0x7F), (0xA0, 0x250), (0x300, 0x600), (0x600, 0x1000), (0x1000, 0x2000), (0x2000, 0x2C00), (0x2C00, 0x3400), (0x3400, 0xA000), (0xA000, 0xD7A4), (0xF900, 0x10000), (0x10000, 0x12600), (0x1D100, 0x1D800), (0x1F000, 0x1FB00), (0x20000, 0x2A700)]
    numbers = splitmix64(5)
    for _ in range(count):
        word = ""
        for _ in range(1 + next(numbers) % 8):
            first, end = blocks[next(numbers) % len(blocks)]
            word += chr(first + next(numbers) % (end - first)) + (" " if next(numbers) % 4 == 0 else "")
        yield word


def hard_strings():
    groups = [[""], LANGUAGES, EMOJI, COMBINING, NUMBERS, WHITE_SPACE, CONTRACTIONS, CODE, SPECIALS, CONTROLS, RUNS, NEW_CHARACTERS, mixtures(220), code_points(100)]
    seen, out = set(), []
    for group in groups:
        for text in group:
            if text not in seen:
                seen.add(text)
                out.append(text)
    return out
