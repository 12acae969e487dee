"""The words of verdicts, in several languages."""

from typing import Literal

Better = Literal["1", "2", "equal"]
POINTS: dict[Better, list[float]] = {"1": [1.0, 0.0], "2": [0.0, 1.0], "equal": [1.0, 1.0]}


def any_of(words: str) -> str:
    """Return the regex of alternatives that are written on several lines."""
    return f"(?:{''.join(line.strip() for line in words.splitlines())})"


NOUN = any_of("""assistant|response|answer|reply|option|candidate|output|model|version|text|completion|
    solution|assistent|antwort|asistente|respuesta|assistente|resposta|risposta|réponse|ассистент|ответ""")
ZH_NOUN = any_of("助手|助理|回答|回复|答案|回应|响应|答复|选项|模型|版本|アシスタント|응답|답변|어시스턴트")
ADVERB = any_of("""overall|clearly|definitely|slightly|much|far|by far|a bit|a little|somewhat|marginally|
    significantly|generally|considerably|substantially|still|simply|just|ultimately|the|a|an|both|then|
    also|here|obviously|therefore|thus|probably|likely|arguably|
    deutlich|klar|etwas|leicht|insgesamt""")
BETTER = any_of("""better|best|superior|preferable|preferred|favou?red|stronger|strongest|winner|winning|
    besser|meilleure?|mejor|migliore|melhor|лучше|my (?:choice|pick|preference)|my preferred""")
THING = any_of("""response|answer|assistant|reply|one|choice|option|pick|output|version|text|work|
    of the two|of both|overall|quality|for training|as training data|training (?:example|data|sample|
    response)|candidate|in (?:general|my opinion|my view|my judgment|comparison)""")
DOES = any_of("""is|was|gave|gives|provides|provided|wrote|writes|has|had|offers|offered|produces|produced|
    delivers|delivered|makes|made|presents|did|does|performs|performed|as|to be|be|ist|est|es|è|é""")
EQUAL = any_of("""equal|equals|tie|tied|draw|a tie|a draw|a toss-up|equally (?:good|well written|well|
    strong|helpful|great|matched|useful|valid|effective|suitable|preferable|bad|poor|weak|wrong|flawed|
    incorrect|unhelpful)|of (?:the same|equal|
    equivalent) quality|of equal (?:value|merit)|equal in (?:quality|value|merit)|equivalent|on par|
    identical|(?:the )?same|even|no (?:clear |real |significant |meaningful )?(?:difference|preference)|
    gleichstand|unentschieden|gleich(?: gut)?|gleichwertig|
    ebenbürtig|égalité|ex æquo|empate|pareggio|ничья|引き分け|同点|무승부|동점""")
ZH_EQUAL = any_of(
    """平局|平手|打平|平|相等|相当|相同|一样|一样好|同样好|同样出色|同等|不分上下|不相上下|不分伯仲|难分伯仲|难分高下|旗鼓相当|没有区别|没有差别|质量相当|水平相当|
    差不多"""
)
CORE = any_of("""verdicts?|judge?ments?|judge|decision|answer|output|result|choice|chosen|choose|winner|
    winning|best|better|ranking|preferred|preference|prefer|selected|selection|select|pick|conclusion|ruling|
    overall|final|scores?|ratings?|points|urteil|ergebnis|gewinner|sieger|jugement|gagnant|veredicto|resultado|
    ganador|вердикт""")
ZH_CORE = any_of(
    """结论|输出|判断|判定|判决|裁决|评判|答案|结果|选择|胜者|胜出者?|获胜者?|更好|更优|最佳|较好|优胜者?|评分|得分|分数|打分|総合|結論"""
)
FILLER = any_of("""my|the|our|your|is|are|here's|here|of|for|one|response|assistant|so|and|on|in|le|la|il|
    el|as|follows|summary|evaluation|assessment|would|be|i|both|clearly|clear""")
ZH_FILLER = any_of("最终|的|是|我|为|回答|回复|助手|综合|总体|总|方")
OFTEN = any_of(" (?:personally|therefore|also|still|strongly|ultimately|firmly)")
WILL = any_of("'d|'ll| would| will| do| must| have to| can")
BECAUSE = any_of("because|since|as|due to|for|reason")
