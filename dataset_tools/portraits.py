"""Which emoji are portraits, where their eyes are, and what their code points tell about them.

Chosen by looking at every person in OpenMoji 17. Left out are families, couples, full bodies, profiles, faces without
eyes, faces behind or between the hands of someone, and heads larger or smaller than the others.

The numbers say how far down the drawing grid, 72 units high, the middle between the eyes is; measured on the font. All
heads are drawn to one scale, with the eyes 8 units apart, but neither the drawings nor the font agree on the height.
"""

JOINER, VARIATION, WOMAN_SIGN, MAN_SIGN = 0x200D, 0xFE0F, 0x2640, 0x2642
PERSON, WOMAN, MAN = 0x1F9D1, 0x1F469, 0x1F468
SKIN_TONES = {0x1F3FB: "light", 0x1F3FC: "medium light", 0x1F3FD: "medium", 0x1F3FE: "medium dark", 0x1F3FF: "dark"}
HAIR = {0x1F9B0: "red", 0x1F9B1: "curly", 0x1F9B3: "white", 0x1F9B2: "bald"}
LABELS = {
    "skin tone": ("none", *SKIN_TONES.values()),
    "gender": ("person", "woman", "man"),
    "hair": ("other", *HAIR.values()),
}

ATTRIBUTES = {  # joined to a (person, woman, man)
    None: (29.9, 30.0, 29.9),
    0x1F9B0: (29.9, 30.0, 29.9),  # red hair
    0x1F9B1: (30.0, 30.0, 30.0),  # curly hair
    0x1F9B2: (30.0, 30.0, 30.0),  # bald
    0x1F9B3: (29.9, 30.0, 29.9),  # white hair
    0x1F33E: (27.8, 27.8, 27.8),  # farmer
    0x1F373: (27.4, 27.3, 27.4),  # cook
    0x1F384: (30.0, None, None),  # Mx Claus
    0x1F393: (27.6, 27.6, 27.6),  # student
    0x1F3A4: (27.4, 26.6, 27.5),  # singer
    0x1F3A8: (27.3, 27.3, 27.3),  # artist
    0x1F3EB: (27.4, 25.5, 25.8),  # teacher
    0x1F3ED: (27.4, 26.1, 27.4),  # factory worker
    0x1F4BB: (27.4, 20.5, 24.6),  # technologist
    0x1F4BC: (27.4, 22.6, 27.8),  # office worker
    0x1F527: (27.8, 27.6, 27.6),  # mechanic
    0x1F52C: (27.4, 26.5, 25.9),  # scientist
    0x1F680: (27.5, 27.5, 27.5),  # astronaut
    0x1F692: (27.4, 26.8, 27.4),  # firefighter
    0x2695: (27.4, 21.5, 22.8),  # health worker
    0x2696: (27.4, 26.9, 26.9),  # judge
    0x2708: (27.8, 27.8, 27.8),  # pilot
}
ROLES = {  # a code point of their own, (as it is, with the woman's sign, with the man's sign)
    0x1F46E: (27.1, 28.4, 28.4),  # police officer
    0x1F470: (30.3, 27.0, 29.9),  # with veil
    0x1F471: (29.9, 30.0, 29.9),  # blond
    0x1F473: (28.5, 28.5, 27.4),  # with turban
    0x1F477: (27.6, 26.5, 26.5),  # construction worker
    0x1F481: (30.0, 30.0, 29.9),  # tipping hand
    0x1F482: (27.0, 32.5, 29.3),  # guard
    0x1F487: (29.9, 30.8, 29.9),  # getting a haircut
    0x1F575: (27.3, 27.3, 27.3),  # detective
    0x1F645: (30.1, 30.0, 30.1),  # gesturing no
    0x1F646: (32.8, 32.8, 32.8),  # gesturing OK
    0x1F64B: (33.4, 33.4, 33.4),  # raising a hand
    0x1F64D: (30.8, 30.8, 30.6),  # frowning
    0x1F64E: (30.0, 29.9, 30.1),  # pouting
    0x1F935: (30.2, 30.1, 29.9),  # in tuxedo
    0x1F937: (30.0, 30.0, 29.9),  # shrugging
    0x1F9B8: (30.0, 30.0, 29.9),  # superhero
    0x1F9B9: (29.9, 30.0, 29.9),  # supervillain
    0x1F9CF: (29.9, 30.0, 29.9),  # deaf
    0x1F9D4: (28.9, 29.5, 28.8),  # with beard
    0x1F9D6: (28.9, 29.2, 29.0),  # in steamy room
    0x1F9D9: (30.4, 30.4, 30.4),  # mage
    0x1F9DA: (29.9, 30.0, 29.9),  # fairy
    0x1F9DB: (30.0, 30.1, 30.0),  # vampire
    0x1F9DD: (28.9, 29.1, 29.2),  # elf
}
SINGLES = {  # a code point of their own that has a gender (or none) already
    0x1F385: (None, None, 29.5),  # Father Christmas
    0x1F466: (None, None, 32.1),  # boy
    0x1F467: (None, 30.9, None),  # girl
    0x1F474: (None, None, 28.5),  # old man
    0x1F475: (None, 29.1, None),  # old woman
    0x1F478: (None, 27.8, None),  # princess
    0x1F934: (None, None, 27.9),  # prince
    0x1F936: (None, 29.4, None),  # Mother Christmas
    0x1F977: (25.5, None, None),  # ninja
    0x1F9D2: (32.1, None, None),  # child
    0x1F9D3: (29.4, None, None),  # old person
    0x1F9D5: (None, 27.5, None),  # woman with headscarf
    0x1FAC5: (29.8, None, None),  # person with crown
}
ACROSS = 36  # units from the left to the middle between the eyes, except for
EYES_ACROSS = {
    0x1F477: (36.0, 37.0, 37.0),
    0x1F481: (30.8, 30.8, 30.8),
    0x1F487: (26.7, 26.8, 27.0),
    0x1F575: (36.0, 35.0, 35.0),
    0x1F64B: (42.3, 42.3, 42.4),
    0x1F977: (36.8, None, None),
    0x1F9CF: (39.0, 38.9, 39.0),
    0x1F9D6: (34.4, 34.3, 34.3),
}


def plain(points):
    """Code points of an emoji without skin tones, joiners and variation selectors."""
    return tuple(point for point in points if point not in SKIN_TONES and point not in (JOINER, VARIATION))


def _portraits():
    """{plain code points: (index of the gender, (across, down) of the middle between the eyes)}."""
    rows = [(motif, heights, "joined") for motif, heights in ATTRIBUTES.items()]
    rows += [(motif, heights, "signed") for motif, heights in ROLES.items()]
    rows += [(motif, heights, "single") for motif, heights in SINGLES.items()]
    found = {}
    for motif, heights, kind in rows:
        across = EYES_ACROSS.get(motif, (ACROSS,) * 3)
        for gender, height in enumerate(heights):
            points = {
                "joined": ((PERSON, WOMAN, MAN)[gender], motif),
                "signed": (motif, (None, WOMAN_SIGN, MAN_SIGN)[gender]),
                "single": (motif,),
            }[kind]
            if height:
                found[tuple(filter(None, points))] = gender, (across[gender], height)
    return found


PORTRAITS = _portraits()


def eyes(points):
    """(across, down) of the middle between the eyes of a portrait, in units of the grid."""
    return PORTRAITS[plain(points)][1]


def attributes(points):
    """What the code points of a portrait say, as the one-hot groups of `LABELS` in a row: list of 14 numbers."""
    tone = next((1 + list(SKIN_TONES).index(point) for point in points if point in SKIN_TONES), 0)
    gender = PORTRAITS[plain(points)][0]
    hair = next((1 + list(HAIR).index(point) for point in points if point in HAIR), 0)
    groups = zip((tone, gender, hair), LABELS.values(), strict=True)
    return [float(index == chosen) for chosen, values in groups for index in range(len(values))]
