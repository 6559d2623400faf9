"""The words that tasks fill their sentences with: people, things with fair prices, and plain vocabulary. No numbers live here
except bounds that keep a story plausible."""

from typing import NamedTuple

from tunix_rt.tasks.handles import Noun, noun


def words(text: str, separator: str | None = None) -> tuple[str, ...]:
    return tuple(text.split(separator))


class Person(NamedTuple):
    name: str
    he: str
    his: str

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return self.name


def _people(text: str, he: str, his: str) -> tuple[Person, ...]:
    return tuple(Person(name, he, his) for name in text.split())


PEOPLE = _people(
    "Anna Bella Clara Diana Emma Fatima Grace Hana Ivy Julia Kira Lena Maria Nora Olga Priya Rosa Sara Tina Vera", "she", "her"
)
PEOPLE += _people(
    "Adam Ben Carlos David Eric Felix George Hugo Ivan Jack Kenji Leo Mark Noah Omar Paul Ravi Sam Tom Victor", "he", "his"
)


def a(word: str) -> str:
    """The word with its indefinite article: a dog, an apple, an hour, a uniform."""
    vowel = word[0].lower() in "aeiou" and not word.lower().startswith(("uni", "use", "ukulele"))
    return f"{'an' if vowel or word.startswith('hour') else 'a'} {word}"


class Ware(NamedTuple):
    """Something sold by the piece; `low` to `high` whole dollars is a plausible price."""

    name: Noun
    low: int
    high: int


WARES = (
    Ware(noun("notebook"), 2, 9),
    Ware(noun("mug"), 4, 15),
    Ware(noun("T-shirt"), 8, 25),
    Ware(noun("book"), 5, 20),
    Ware(noun("poster"), 3, 12),
    Ware(noun("ball"), 3, 15),
    Ware(noun("plant"), 4, 18),
    Ware(noun("sandwich", "sandwiches"), 3, 9),
    Ware(noun("pizza"), 7, 15),
    Ware(noun("lamp"), 12, 40),
    Ware(noun("scarf", "scarves"), 6, 25),
    Ware(noun("toy car"), 3, 12),
    Ware(noun("ticket"), 6, 30),
    Ware(noun("candle"), 2, 9),
    Ware(noun("cushion"), 7, 25),
    Ware(noun("puzzle"), 6, 20),
)

SMALL_WARES = (  # sold for a few dollars and some cents
    noun("pen"), noun("muffin"), noun("cookie"), noun("apple pie"), noun("juice box", "juice boxes"), noun("sticker sheet"),
    noun("bagel"), noun("postcard"), noun("eraser"), noun("cup of tea", "cups of tea"), noun("ice cream"), noun("marker"),
)  # fmt: skip

PAINTED = tuple(map(noun, words("marble sticker pencil button card bead block badge ribbon balloon crayon")))  # of any color
THINGS = (*PAINTED, *map(noun, words("apple coin shell stamp orange cookie walnut acorn magnet puzzle")))
THINGS += (noun("peach", "peaches"), noun("cherry", "cherries"), noun("berry", "berries"))
"""What a person may own, collect, share or count."""

COLORS = words("red blue green yellow purple orange white black pink brown gray silver")

WORDS = words(  # common nouns of three to ten letters, for spelling, reversing and sorting
    """acorn airport album almond anchor antenna apple apricot arm arrow autumn avocado backpack bacon badge bag baker
    balcony ball balloon banana barn basket beach bear bell berry bicycle bird biscuit blanket blossom board boat bone
    bottle bowl box bracelet branch breakfast brick bridge broccoli broom brush bucket bug building bus butter button
    cabin cable cactus cage cake calf camel camera candle candy cap caravan card cardinal carpet carrot castle cat
    catalog cathedral cave chain chair chalk chapter cheese cherry chestnut chicken chimney chin cinnamon circle clay
    cliff clock cloth cloud clover coast coat coffee coin compass concert copper corn corner costume cottage cotton
    country cousin cow crab cracker crane crayon cream creek cricket crow crown crystal cucumber cup cupboard curtain
    dance deer desert desk diamond dinner dish doctor dog dolphin door doorbell dragon drawing dream dress drum duck
    dust eagle ear earth egg elbow elephant elk engine envelope evening factory fairytale falcon fan farmer feather
    fence fern festival field fig film finger firefly fireplace fish flag flame flamingo flower flute fog foot
    football forest fork fountain fox frame frog fruit furniture gallery garden gate gem ghost giant ginger giraffe
    glass glove glue goat gold grain grape grass grill guitar hall hammer hamster harbor harp hat hazelnut hen highway
    hill hive holiday honey hook horizon horse hospital hotel house ice iceberg icicle ink island jacket jam jar
    jasmine jelly jewel journey jug jungle kangaroo kettle keyboard king kingdom kitchen kite knee knife ladder lake
    lamb lamp lane language lantern laundry lavender leaf leather leg lemon leopard letter library lid lily lime lion
    lizard lobster log lollipop luggage lunch machine magnet mailbox mammoth mango map maple marathon marble market
    mask mat mattress meadow medicine melon mermaid midnight milk mint mirror mole monkey moon morning mosquito moss
    mountain mouse mud mug mushroom music mustard nail necklace nest net night notebook nursery nut oak ocean octopus
    oil olive onion orange orbit orchard ostrich otter oven owl package paint painter palace pan pancake panda paper
    parade park parrot passport pasta path peach peacock pear pearl pebble pelican pen pencil penguin pepper perfume
    piano picnic picture pie pillow pilot pin pineapple pipe planet plant plate platform plum pocket pond pony popcorn
    postcard pot potato pottery printer pudding pumpkin puppet puppy pyramid quarter rabbit raccoon radio rail railway
    rain rainbow raspberry reindeer ribbon rice river road robin robot rocket roof rooster root rope rose ruby rug
    sail sailor salad salt sand sandwich sausage school scooter seagull seal seed shadow shampoo sheep shelf shell
    shelter ship shirt shoe shoulder silk silver sister skeleton skirt sky sled snail snow snowflake soap sock socket
    sofa soldier soup spark sparrow spider spinach spoon spring squirrel stadium star station stem stick stomach stone
    stool storm strawberry street sugar suitcase summer sun sunrise sunshine swallow swan sweater swing table tail
    teacher teapot telescope tent theater thorn thunder tie tiger toast tomato tornado tower toy tractor train tray
    treasure tree triangle truck trumpet tub tulip tunnel turkey turtle umbrella uniform universe vacation valley
    vanilla vase vehicle velvet vest village vine violin volcano waffle wall walnut wasp water waterfall wave weather
    web weekend whale wheat wheel whisker whistle windmill window wing winter wire wolf wood wool workshop worm yard
    yarn yellow zebra"""
)
