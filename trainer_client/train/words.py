"""The words that the demo's texts are made of, and those it never sees in training.

`COMMON` makes the training and the held-out texts, `UNSEEN` the harder split: other words,
most of them longer. A test holds the two disjoint.
"""

from __future__ import annotations

COMMON = tuple(
    """
    a about after again air all also always am an and animal answer any are around as ask at
    away back be because been before began best better between big bird black blue boat body
    book both boy bring brother but by call came can car change child city clear close cold
    come could country cut day did different do does dog done door down draw dry each early
    earth east eat end enough even ever every eye face family far farm fast father feet few
    field find fire first fish five follow food for form found four friend from front full gave
    get girl give go good great green ground group grow had half hand hard has have he head
    hear help her here high him his home horse hot hour house how hundred i idea if in into is
    it its just keep kind king knew know land large last late learn leave left let letter life
    light like line list little live long look love low made make man many map me mean men might
    mile more morning most mother mountain mouth move much music must my name near need never
    new next night no north not now number of off often old on once one only open or order
    other our out over own page paper part people place plant play point power press put quick
    quiet rain read real red rest right river road rock room round run said same saw say school
    sea second see seem sentence set she ship short should show side simple sing size sky sleep
    slow small snow so some song soon sound south space stand star start state stay step still
    stop story street strong study such sun sure table take talk tell ten than that the their
    them then there these they thing think this those thought three through time to together
    too top town travel tree true try turn two under until up us use very voice wait walk want
    war warm was watch water way we week well went were west what wheel when where which while
    white who why will wind with wood word work world would write year yes yet you young your
    zoo
    """.split()
)

UNSEEN = tuple(
    """
    absolute acoustic balance bicycle blanket boundary calendar capture carpenter ceremony
    champion chemistry children cinnamon circular climate colorful compass complex consider
    creature crystal curtain customer daughter decade delivery diamond dinosaur discover
    distance dolphin dragonfly economy eighteen electric elephant engineer envelope evening
    explorer fabulous festival flexible fortune fragile freedom furniture galaxy gardener
    generous gigantic goldfish gravity grocery guitar hamster harvest highway hospital
    hurricane imagine industry instrument invisible january jealous journal judgment jungle
    kangaroo keyboard kitchen knowledge laboratory language lantern lavender library machine
    magnetic marathon medicine midnight monument mushroom mystery narrator natural neighbor
    nineteen notebook obstacle octopus opposite orchestra original oxygen package painter
    parallel passport penguin physics picture platinum pyramid quality quantity question
    railway rainbow remember resource rhythm romantic sandwich satellite scissors sculpture
    shadow signature snowflake solution spectrum squirrel standard strategy surprise symphony
    teacher telescope thousand thunder tomorrow tornado triangle tropical umbrella universe
    upstairs vacation velocity victory vineyard volcano waterfall weather wilderness wonderful
    xylophone yesterday zealous zeppelin
    """.split()
)
