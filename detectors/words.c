/* What detectors/plain.py does with a text, for an event loop: find words, hash, look up, add up.
 *
 * Text comes as UTF-8 that detectors/features.py has normalised, or as it stands where that gives the
 * same words, as in ASCII. There is no state but what the caller owns, nothing is allocated, and
 * every index is held to its table.
 *
 * What takes time is the way to memory: a text looks up hundreds of weights, all over a table that
 * other work has pushed out of the caches. So a weight has 16 bits, and words wait in a queue,
 * their weights on the way (PREFETCH) while the next words are hashed.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BUCKETS (1u << 19) /* features.BUCKETS */
#define PAIR 0x9E3779B1u   /* features.PAIR */

#define CHARACTERS 0x40000 /* features.CHARACTERS */

#define LONGEST_RUN 2000 /* features.LONGEST_RUN */
#define STEM 6 /* features.STEM */

#define LONG 256      /* plain.LONG */
#define SHORT 12      /* plain.SHORT */
#define STEEPNESS 1.75   /* plain.STEEPNESS */
#define ONE 1024      /* plain.ONE */
#define SLOTS 512     /* plain.SLOTS */
#define MEAN 16       /* plain.MEAN */
#define FEWEST 31     /* plain.FEWEST */
#define MOST_KINDS 4  /* plain.MOST_KINDS */

#define RUN 24    /* decoding.RUN */
#define SINGLES 5 /* decoding.SINGLES */

#define HINTS /* rotation.HINTS */                                                              \
    "gur", "naq", "lbh", "ubj", "sbe", "gung", "jvgu", "guvf", "sebz", "lbhe", "unir", "jung",  \
        "vagb", "jvyy", "jura", "znxr", "tvir"

#ifdef __GNUC__
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

enum { GAP, MARK, LETTER, ALONE, UNSEEN, CHANGES = 8 }; /* features.kinds_of_characters */

typedef struct {
    uint64_t kinds; /* of misuse, at most MOST_KINDS */
    uint64_t mean;  /* not 0: the mean of the whole text counts, and no stretch */
    struct {
        double shift, intercept; /* of short stretches; of the margin */
    } kind[MOST_KINDS];
    uint8_t characters[CHARACTERS]; /* their kinds; of those above, GAP + CHANGES */
    int16_t weights[];              /* of each bucket those of all kinds, side by side */
} Model;

/* What the words of a text weigh for one kind: plain.Sums. They have no bound but that of the text,
 * of which 2^40 words would be needed. */
typedef struct {
    int64_t sum, best_long, best_short;
    int64_t past[LONG]; /* the sum after word n, at n % LONG */
} Sums;

/* A text so far: plain.Words, and the word that may still grow. */
typedef struct {
    uint64_t count;    /* of the words that are closed */
    uint32_t previous; /* hash of the last of them, if there is one */
    uint32_t open;     /* CRC-32 register of the word that may still grow, if there is one */
    uint32_t letters;  /* of ASCII that it has, if it has no others */
    uint32_t has_open;
    uint32_t in_stem; /* characters of it that count, at most STEM */
    uint32_t seen[SLOTS]; /* the bucket in each slot + 1, or 0 */
    Sums sums[];          /* of each kind */
} Text;

/* Room for a text of as many kinds as there can be. */
typedef union {
    Text text;
    uint8_t bytes[sizeof(Text) + MOST_KINDS * sizeof(Sums)];
} Room;

static size_t text_bytes(uint64_t kinds)
{
    return sizeof(Text) + kinds * sizeof(Sums);
}

enum { QUEUE = 64 };

/* The buckets of words that are still to be seen, each with that of its pair. */
typedef struct {
    uint32_t count;
    struct {
        uint32_t word, pair;
    } buckets[QUEUE];
} Queue;

static void begin(Text *text, uint64_t kinds)
{
    memset(text, 0, text_bytes(kinds));
    for (uint64_t kind = 0; kind < kinds; kind++)
        text->sums[kind].best_long = text->sums[kind].best_short = INT64_MIN;
}

static uint32_t bucket_of(uint32_t hash)
{
    return hash & (BUCKETS - 1);
}

static const int16_t *weights_of(const Model *model, uint32_t bucket)
{
    return &model->weights[bucket * model->kinds];
}

/* Put a bucket into its slot; return 0 if it was there, else 1. No processor guesses which, so
 * nothing branches on that. */
static int64_t see(Text *text, uint32_t bucket)
{
    uint32_t *slot = &text->seen[bucket % SLOTS];
    int64_t is_new = *slot != bucket + 1;
    *slot = bucket + 1;
    return is_new;
}

static int64_t higher(int64_t one, int64_t other)
{
    return one > other ? one : other;
}

/* The best stretches that end with word `count`, whose sum is `sum`. */
static void stretch(const Sums *sums, uint64_t count, int64_t sum, int64_t *best_long,
                    int64_t *best_short)
{
    if (count >= SHORT)
        *best_short = higher(*best_short, sum - sums->past[(count - SHORT) % LONG]);
    if (count >= LONG)
        *best_long = higher(*best_long, sum - sums->past[count % LONG]);
}

static void see_queue(Text *text, const Model *model, Queue *queue)
{
    for (uint32_t at = 0; at < queue->count; at++) {
        const int16_t *of_word = weights_of(model, queue->buckets[at].word);
        const int16_t *of_pair = weights_of(model, queue->buckets[at].pair);
        int64_t word = see(text, queue->buckets[at].word);
        int64_t pair = text->count ? see(text, queue->buckets[at].pair) : 0;
        uint64_t count = ++text->count;
        for (uint64_t kind = 0; kind < model->kinds; kind++) {
            Sums *sums = &text->sums[kind];
            sums->sum += of_word[kind] * word + of_pair[kind] * pair;
            stretch(sums, count, sums->sum, &sums->best_long, &sums->best_short);
            sums->past[count % LONG] = sums->sum;
        }
    }
    queue->count = 0;
}

/* `previous` runs ahead of `count`: that counts a word when it has left the queue. The pair of the
 * first word is of no account. */
static void close_word(Text *text, const Model *model, Queue *queue)
{
    uint32_t hash = ~text->open, at;
    uint32_t word = bucket_of(hash), pair = bucket_of(text->previous * PAIR + hash);
    if (queue->count == QUEUE)
        see_queue(text, model, queue);
    PREFETCH(weights_of(model, word));
    PREFETCH(weights_of(model, pair));
    at = queue->count++;
    queue->buckets[at].word = word;
    queue->buckets[at].pair = pair;
    text->previous = hash;
    text->has_open = 0;
    text->letters = 0;
    text->in_stem = 0;
}

/* CRC-32 of IEEE 802.3, as zlib's: what a byte comes to is what each of its bits comes to. */
#define BIT(byte, bit, crc) ((byte) >> (bit) & 1 ? crc : 0)
#define CRC_1(byte)                                                                             \
    (BIT(byte, 0, 0x77073096) ^ BIT(byte, 1, 0xee0e612c) ^ BIT(byte, 2, 0x076dc419) ^           \
     BIT(byte, 3, 0x0edb8832) ^ BIT(byte, 4, 0x1db71064) ^ BIT(byte, 5, 0x3b6e20c8) ^           \
     BIT(byte, 6, 0x76dc4190) ^ BIT(byte, 7, 0xedb88320))
#define CRC_4(byte) CRC_1(byte), CRC_1(byte + 1), CRC_1(byte + 2), CRC_1(byte + 3)
#define CRC_16(byte) CRC_4(byte), CRC_4(byte + 4), CRC_4(byte + 8), CRC_4(byte + 12)
#define CRC_64(byte) CRC_16(byte), CRC_16(byte + 16), CRC_16(byte + 32), CRC_16(byte + 48)

static uint32_t crc_of_byte(uint32_t crc, uint8_t byte)
{
    static const uint32_t table[256] = {CRC_64(0), CRC_64(64), CRC_64(128), CRC_64(192)};
    return table[(crc ^ byte) & 255] ^ crc >> 8;
}

/* The letters of ASCII folded as features._FOLD_ASCII does, 0 for what is none. */
static const uint8_t LETTERS[256] = {
    ['_'] = '_', ['0'] = 'o', 'i', '2', 'e', 'a', 's', 'g', 't', 'b', '9',
    ['A'] = 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
    ['N'] = 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
    ['a'] = 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
    ['n'] = 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
};

static uint32_t register_of(const Text *text)
{
    return text->has_open ? text->open : 0xffffffffu;
}

/* Extend the word by one character of so many bytes. */
static void extend_word(Text *text, const uint8_t *bytes, size_t count)
{
    uint32_t crc = register_of(text);
    if (text->in_stem < STEM) {
        for (size_t at = 0; at < count; at++)
            crc = crc_of_byte(crc, bytes[at]);
        text->in_stem++;
    }
    text->open = crc;
    text->has_open = 1;
}

/* Extend the word by the ASCII letters that some bytes begin with; return how many there are. */
static size_t extend_by_ascii(Text *text, const uint8_t *bytes, size_t count)
{
    uint32_t crc = register_of(text);
    size_t room = STEM - text->in_stem, at = 0;
    for (uint8_t letter; at < count && at < room && (letter = LETTERS[bytes[at]]); at++)
        crc = crc_of_byte(crc, letter);
    text->in_stem += (uint32_t)at;
    if (at == room)
        while (at < count && LETTERS[bytes[at]])
            at++;
    text->open = crc;
    text->has_open |= at > 0;
    return at;
}

/* Decode the character that starts a text of at least one byte; return its length. What is no
 * UTF-8 is read as something of a length that is there. */
static size_t decode(const uint8_t *text, size_t bytes, uint32_t *character)
{
    size_t length = text[0] < 0xc0 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (length > bytes)
        length = bytes;
    *character = length == 1 ? text[0] : text[0] & (0x7fu >> length);
    for (size_t at = 1; at < length; at++)
        *character = *character << 6 | (text[at] & 0x3f);
    return length;
}

static uint8_t kind_of(const Model *model, uint32_t character)
{
    return character < CHARACTERS ? model->characters[character] : GAP | CHANGES;
}

/* Append the character, no letter of ASCII, that some bytes begin with; return its length. */
static size_t append_character(Text *text, const Model *model, Queue *queue, const uint8_t *bytes,
                               size_t count)
{
    uint32_t character;
    size_t length = decode(bytes, count, &character);
    uint8_t kind = kind_of(model, character) & ~CHANGES;
    if (kind == UNSEEN)
        return length;
    if (text->has_open && (kind == GAP || kind == ALONE))
        close_word(text, model, queue);
    if (kind == LETTER || kind == ALONE || (kind == MARK && text->has_open))
        extend_word(text, bytes, length);
    if (kind == ALONE)
        close_word(text, model, queue);
    return length;
}

static void append(Text *text, const Model *model, const uint8_t *bytes, size_t count)
{
    Queue queue;
    queue.count = 0;
    for (size_t at = 0; (at += extend_by_ascii(text, bytes + at, count - at)) < count;) {
        if (bytes[at] >= 0x80) {
            at += append_character(text, model, &queue, bytes + at, count - at);
            continue;
        }
        if (text->has_open)
            close_word(text, model, &queue);
        at++;
    }
    see_queue(text, model, &queue);
}

/* Append ASCII; a word ends after LONGEST_RUN letters, as after features.with_cuts. */
static void append_ascii(Text *text, const Model *model, const uint8_t *bytes, size_t count)
{
    Queue queue;
    queue.count = 0;
    for (size_t at = 0; at < count;) {
        size_t room = LONGEST_RUN - text->letters, rest = count - at;
        size_t letters = extend_by_ascii(text, bytes + at, rest < room ? rest : room);
        at += letters;
        text->letters += (uint32_t)letters;
        if (text->letters == LONGEST_RUN || (at < count && text->has_open))
            close_word(text, model, &queue);
        else if (at < count)
            at++;
    }
    see_queue(text, model, &queue);
}

/* Return the margin of a text of some words by one kind: plain.Sums.margin. */
static double margin_of(const Model *model, double shift, uint64_t count, int64_t sum,
                        int64_t best_long, int64_t best_short)
{
    double margin, worst;
    if (model->mean) {
        uint64_t number = 2 * count - 1 > FEWEST ? 2 * count - 1 : FEWEST;
        return (double)sum * MEAN / ((double)number * ONE);
    }
    if (count <= LONG)
        margin = (double)sum / (sqrt((double)(2 * count - 1)) * ONE);
    else
        margin = (double)best_long / (sqrt(2.0 * LONG) * ONE);
    if (count <= SHORT)
        return margin;
    worst = STEEPNESS * ((double)best_short / (sqrt(2.0 * SHORT) * ONE)) - shift;
    return worst > margin ? worst : margin;
}

/* Return the log of the sum of odds: log_odds.added. */
static double added(const double *log_odds, uint64_t count)
{
    double highest = log_odds[0], sum = 0;
    for (uint64_t at = 1; at < count; at++)
        highest = log_odds[at] > highest ? log_odds[at] : highest;
    if (count == 1)
        return highest;
    for (uint64_t at = 0; at < count; at++)
        sum += exp(log_odds[at] - highest);
    return highest + log(sum);
}

/* Return the margin, the open word included as if it were closed. */
static double margin(const Text *text, const Model *model)
{
    uint32_t word = 0, pair = 0;
    int64_t is_new_word = 0, is_new_pair = 0;
    uint64_t count = text->count + (text->has_open != 0);
    double log_odds[MOST_KINDS] = {0};
    if (!count)
        return -INFINITY;
    if (text->has_open) {
        word = bucket_of(~text->open);
        pair = bucket_of(text->previous * PAIR + ~text->open);
        is_new_word = text->seen[word % SLOTS] != word + 1;
        is_new_pair = text->count && pair + 1 != (pair % SLOTS == word % SLOTS
                                                      ? word + 1
                                                      : text->seen[pair % SLOTS]);
    }
    for (uint64_t kind = 0; kind < model->kinds; kind++) {
        const Sums *sums = &text->sums[kind];
        int64_t best_long = sums->best_long, best_short = sums->best_short;
        int64_t sum = sums->sum + weights_of(model, word)[kind] * is_new_word +
                      weights_of(model, pair)[kind] * is_new_pair;
        if (text->has_open)
            stretch(sums, count, sum, &best_long, &best_short);
        log_odds[kind] = model->kind[kind].intercept +
                         margin_of(model, model->kind[kind].shift, count, sum, best_long, best_short);
    }
    return added(log_odds, model->kinds);
}

/* How many bytes a model of so many kinds is. */
int watchgate_model_bytes(int kinds)
{
    return (int)(sizeof(Model) + (size_t)kinds * BUCKETS * sizeof(int16_t));
}

/* How many bytes a text is, held to so many kinds. */
int watchgate_text_bytes(int kinds)
{
    return (int)text_bytes((uint64_t)kinds);
}

/* Return whether a text has the words, as it stands, that it has when it is normalised. */
int watchgate_is_normal(const Model *model, const uint8_t *bytes, uint32_t count)
{
    for (size_t at = 0; at < count;) {
        uint32_t character = bytes[at];
        at += character < 0x80 ? 1 : decode(bytes + at, count - at, &character);
        if (character >= 0x80 && kind_of(model, character) & CHANGES)
            return 0;
    }
    return 1;
}

/* Whether a word of so many letters, which are the last bytes of `word`, is of rotation.HINTS. */
static int is_hint(uint32_t word, uint32_t letters)
{
    static const char *const hints[] = {HINTS};
    for (size_t at = 0; at < sizeof hints / sizeof *hints; at++) {
        const uint8_t *hint = (const uint8_t *)hints[at];
        uint32_t known = (uint32_t)hint[0] << 16 | (uint32_t)hint[1] << 8 | hint[2];
        if (letters == 4 && hint[3])
            known = known << 8 | hint[3];
        else if (letters == 4 || hint[3])
            continue;
        if (word == known)
            return 1;
    }
    return 0;
}

/* What plain.may_hide says of ASCII: whether some words are long,
 * single letters in a row, or frequent ones in rot13. */
int watchgate_may_hide(const uint8_t *bytes, uint32_t count)
{
    uint32_t letters = 0, singles = 0, word = 0;
    for (size_t at = 0; at <= count; at++) {
        uint8_t byte = at < count ? bytes[at] : ' ';
        if (byte != ' ' && (byte < '\t' || byte > '\r') && (byte < 0x1c || byte > 0x1f)) {
            word = word << 8 | (byte | 0x20);
            letters++;
            continue;
        }
        if (letters >= RUN)
            return 1;
        if (letters)
            singles = letters == 1 ? singles + 1 : 0;
        if (singles == SINGLES)
            return 1;
        if ((letters == 3 || letters == 4) && is_hint(letters == 3 ? word & 0xffffff : word, letters))
            return 1;
        letters = 0;
    }
    return 0;
}

/* Return the margin of a text in ASCII. */
double watchgate_ascii_margin(const Model *model, const uint8_t *bytes, uint32_t count)
{
    Room room;
    begin(&room.text, model->kinds);
    append_ascii(&room.text, model, bytes, count);
    return margin(&room.text, model);
}

/* Return the margin of any text. */
double watchgate_margin(const Model *model, const uint8_t *bytes, uint32_t count)
{
    Room room;
    begin(&room.text, model->kinds);
    append(&room.text, model, bytes, count);
    return margin(&room.text, model);
}

/* Make of as many bytes as `watchgate_text_bytes` says, aligned for an int64_t, an empty text. */
void watchgate_begin(Text *text, int kinds)
{
    begin(text, (uint64_t)kinds);
}

/* Append ASCII, whose last word stays open, and return the margin of all text so far. */
double watchgate_add_ascii(Text *text, const Model *model, const uint8_t *bytes, uint32_t count)
{
    append_ascii(text, model, bytes, count);
    return margin(text, model);
}

/* Append any text, whose last word stays open, and return the margin of all text so far. */
double watchgate_add(Text *text, const Model *model, const uint8_t *bytes, uint32_t count)
{
    append(text, model, bytes, count);
    return margin(text, model);
}

/* Return what `watchgate_add` would, and leave the text as it is. */
double watchgate_try(const Text *text, const Model *model, const uint8_t *bytes, uint32_t count)
{
    Room copy;
    memcpy(&copy, text, text_bytes(model->kinds));
    return watchgate_add(&copy.text, model, bytes, count);
}

/* Forget the open word. */
void watchgate_forget(Text *text)
{
    text->has_open = 0;
    text->letters = 0;
    text->in_stem = 0;
}
