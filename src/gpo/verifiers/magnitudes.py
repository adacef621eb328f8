"""Words and signs that multiply the number before them, and the units that may touch it.

German and French "Billion" is a million millions where English has a thousand millions: only forms that
one language alone writes are here, so "Billionen" is 10^12 and "billion" 10^9. "K" after a space is kelvin,
"B" and "T" without a currency are bytes and teslas as well; such a number has no value.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

_PARTS = {
    2: "halves demis",
    3: "thirds drittel tercios terços terzi derden",
    4: "fourths",
    5: "fifths fünftel quintos cinquièmes quinti vijfden",
    6: "sixths sechstel sextos sixièmes",
    7: "sevenths siebtel séptimos septièmes",
    8: "eighths achtel octavos huitièmes",
    9: "ninths neuntel novenos neuvièmes",
    10: "tenths zehntel décimos décimas dixièmes decimi tienden tiondelar десятых dziesiątych",
    12: "twelfths zwölftel",
    16: "sixteenths sechzehntel",
    20: "twentieths zwanzigstel",
    100: "hundredths hundertstel centésimos centésimas centièmes honderdsten hundradelar сотых setnych",
    1000: "thousandths tausendstel milésimos milésimas millièmes duizendsten тысячных tysięcznych",
    10**6: "millionths millionstel millionièmes",
}
"""Parts of one in the plural; in the singular they are ordinals as well, and quarters are coins."""


def _table(words: Mapping[int | Fraction, str]) -> dict[str, int | Fraction]:
    return {word: factor for factor, line in words.items() for word in line.split()}


WORDS: Mapping[str, int | Fraction] = _table(
    {
        **{Fraction(1, parts): names for parts, names in _PARTS.items()},
        10: "decena decenas dizaine dizaines десяток",
        12: "dozen dozens dutzend douzaine douzaines docena docenas dúzia dúzias dozzina dozzine dozijn"
        " dussin tuzin düzine дюжина дюжины дюжин lusin",
        20: "vingtaine",
        100: "hundred hundreds hundert centaine centaines centena centenas centenar centenares honderd hundra"
        " hundre yüz ratus trăm сотня сотни сотен",
        10**3: "k thousand thousands tausend tsd mille millier milliers mil millar millares milhar milhares"
        " mila migliaia duizend tusen tys tysiąc tysiące tysięcy tisíc tisíce bin ribu nghìn ngàn тысяча"
        " тысячи тысяч тыс тис тисяч हज़ार हजार ألف آلاف هزار",
        10**4: "myriad myriads",
        10**5: "lakh lakhs lac lacs लाख",
        10**6: "million millions mn mln mio millionen millón millones milhão milhões milione milioni miljoen"
        " miljon miljoner millioner milion miliony milionów milionů milyon juta triệu миллион миллиона"
        " миллионов млн мільйон мільйонів مليون ملايين میلیون",
        10**7: "crore crores करोड़ करोड",
        10**9: "billion billions bn bln milliarde milliarden mrd milliard milliards miliardo miliardi miljard"
        " miljarder milliarder miliard miliardy miliardów milyar miliar tỷ tỉ bilhão bilhões миллиард"
        " миллиарда миллиардов млрд мільярд мільярдів مليار میلیارد",
        10**12: "trillion trillions tn trn billionen billón billones trilhão trilhões trilyun triliun"
        " триллион триллиона триллионов трлн",
        10**15: "quadrillion quadrillions billiarde billiarden",
        10**18: "quintillion quintillions trillionen",
    }
)
"""In lower case; a full stop after an abbreviation is not part of it."""

UNSPACED: Mapping[str, int] = {
    **dict.fromkeys("十拾십", 10),
    **dict.fromkeys(("打", "ダース", "다스"), 12),
    **dict.fromkeys("百佰백", 100),
    **dict.fromkeys(("千", "仟", "천", "พัน"), 10**3),
    **dict.fromkeys(("万", "萬", "만", "หมื่น"), 10**4),
    "แสน": 10**5,
    "ล้าน": 10**6,
    **dict.fromkeys(("亿", "億", "억"), 10**8),
    **dict.fromkeys(("兆", "조"), 10**12),
}

GLUED: Mapping[str, int] = {"k": 10**3, "K": 10**3, "M": 10**6, "mn": 10**6, "mln": 10**6, "MM": 10**6}
GLUED = {**GLUED, "bn": 10**9, "bln": 10**9, "tn": 10**12, "Mio": 10**6, "Mrd": 10**9}
"""What multiplies where it touches the number."""

WITH_CURRENCY: Mapping[str, int] = {"m": 10**6, "b": 10**9, "B": 10**9, "t": 10**12, "T": 10**12}
"""What multiplies where it touches an amount of money."""

_LENGTHS = "m cm mm km nm um µm μm dm in ft yd mi ha ac sqft"
_AMOUNTS = "g kg mg lb lbs oz L l ml mL dl cl gal qt pt pcs mol cal kcal"
_TIMES = "s sec secs ms min mins h hr hrs d wk yr yrs am pm AM PM a.m p.m"
_PHYSICS = "J kJ MJ eV keV MeV W kW MW kWh Wh V kV mV A mA Hz kHz MHz GHz Pa kPa hPa N kN C F Ω rad deg dB"
_REST = (
    "mph kmh kph km/h m/s rpm px bit bits kB KB MB GB TB USD EUR GBP CHF CAD AUD INR JPY CNY RMB ct zł Kč Ft"
)
UNITS = frozenset(
    f"{_LENGTHS} {_AMOUNTS} {_TIMES} {_PHYSICS} {_REST} ° °C °F \u2032 \u2033 ' \" ¢ c kr Rs".split()
)
"""What may touch a number from the right and leave it as it is."""
