/* What detectors/plain.py does with a text, for an event loop: find words, hash, look up, add up.
 *
 * Text comes as UTF-8 that detectors/features.py has normalised, or as it stands where that gives the
 * same words, as in ASCII. There is no state but what the caller owns, nothing is allocated, and
 * every index is held to its table.
 *
 * What takes time is the way to memory: a text looks up hundreds of weights, all over a table that
 * other work has pushed out of the caches. So a weight has 16 bits, and buckets wait in a queue,
 * their weights on the way (PREFETCH) while the next words are hashed.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BUCKETS (1u << 18) /* features.BUCKETS */
#define PAIR 0x9E3779B1u   /* features._PAIR */

#define CHARACTERS 0x40000 /* features.CHARACTERS */

#define SLICE_BYTES 2000 /* slices.SLICE_CHARS */
#define STEP_BYTES 1800  /* slices.STEP_CHARS */

#ifdef __GNUC__
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

enum { GAP, MARK, LETTER, ALONE, UNSEEN, CHANGES = 8 }; /* features.kinds_of_characters */

typedef struct {
    uint16_t weights[BUCKETS]; /* half precision of IEEE 754, finite */
    uint8_t kinds[CHARACTERS]; /* of characters; of those above, GAP + CHANGES */
} Model;

/* A slice so far. `seen` holds the buckets seen: as a set of that many `places`, each of them 0 or a
 * bucket + 1, or, where that takes no more room, as a bitmap of them all: then `places` is BITMAP. */
typedef struct {
    int64_t sum;       /* of the weights of the buckets seen, times 2^24: exact, in any order */
    uint32_t count;    /* of the buckets seen */
    uint32_t previous; /* hash of the last word that is closed, if there is one */
    uint32_t open;     /* CRC-32 register of the word that may still grow, if there is one */
    uint8_t has_previous, has_open;
    uint32_t places; /* a power of two */
    uint32_t seen[];
} Slice;

enum { LEAST_PLACES = 128, BITMAP = BUCKETS / 32 };

/* The largest slice. */
typedef union {
    Slice slice;
    uint8_t bytes[sizeof(Slice) + BITMAP * sizeof(uint32_t)];
} AnySlice;

enum { QUEUE = 128 };

/* Buckets that are still to be seen. */
typedef struct {
    uint32_t count;
    uint32_t buckets[QUEUE];
} Queue;

/* Up to here a set is filled: the fuller it is, the longer is the way to a bucket's place. */
static size_t most_in(uint32_t places)
{
    return places / 4 * 3;
}

static uint32_t places_for(size_t buckets)
{
    uint32_t places = LEAST_PLACES;
    while (places < BITMAP && buckets > most_in(places))
        places *= 2;
    return places;
}

/* Return how many buckets a text can add at most: of two words, each with its pair, there are four
 * bytes, a character that is a word by itself having three; and the first byte may close a word. */
static size_t most_buckets(size_t bytes)
{
    return bytes + 1;
}

/* A weight, times 2^24. */
static int64_t weight(const Model *model, uint32_t bucket)
{
    uint32_t half = model->weights[bucket];
    uint32_t exponent = half >> 10 & 31;
    uint32_t is_normal = exponent > 0;
    int64_t size = (int64_t)((half & 1023) | is_normal << 10) << (exponent - is_normal);
    return half >> 15 ? -size : size;
}

/* Return the place of a bucket in the set, or the free one where it belongs. */
static uint32_t place_of(const Slice *slice, uint32_t bucket)
{
    uint32_t last = slice->places - 1, place = bucket & last;
    while (slice->seen[place] != 0 && slice->seen[place] != bucket + 1)
        place = (place + 1) & last;
    return place;
}

static uint32_t is_new(const Slice *slice, uint32_t bucket)
{
    if (slice->places == BITMAP)
        return ~slice->seen[bucket / 32] >> bucket % 32 & 1;
    return slice->seen[place_of(slice, bucket)] == 0;
}

/* Put a bucket among those seen; return whether it is new. */
static uint32_t put(Slice *slice, uint32_t bucket)
{
    uint32_t *entry, was;
    if (slice->places == BITMAP) {
        entry = &slice->seen[bucket / 32];
        was = *entry;
        *entry |= 1u << bucket % 32;
        return was != *entry;
    }
    entry = &slice->seen[place_of(slice, bucket)];
    was = *entry;
    *entry = bucket + 1;
    return was == 0;
}

/* No processor guesses whether a bucket is new, so nothing branches on that. */
static void see_queue(Slice *slice, const Model *model, Queue *queue)
{
    int64_t sum = slice->sum;
    uint32_t count = slice->count;
    for (uint32_t at = 0; at < queue->count; at++) {
        uint32_t bucket = queue->buckets[at];
        uint32_t new = put(slice, bucket);
        sum += weight(model, bucket) * new;
        count += new;
    }
    slice->sum = sum;
    slice->count = count;
    queue->count = 0;
}

static void enqueue(Queue *queue, const Model *model, uint32_t hash)
{
    uint32_t bucket = hash & (BUCKETS - 1);
    PREFETCH(&model->weights[bucket]);
    queue->buckets[queue->count++] = bucket;
}

static void close_word(Slice *slice, const Model *model, Queue *queue)
{
    uint32_t hash = ~slice->open;
    if (queue->count > QUEUE - 2)
        see_queue(slice, model, queue);
    enqueue(queue, model, hash);
    if (slice->has_previous)
        enqueue(queue, model, slice->previous * PAIR + hash);
    slice->previous = hash;
    slice->has_previous = 1;
    slice->has_open = 0;
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

/* The letters of ASCII in lower case, 0 for what is none. */
static const uint8_t LETTERS[256] = {
    ['_'] = '_', ['0'] = '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
    ['A'] = 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
    ['N'] = 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
    ['a'] = 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm',
    ['n'] = 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
};

static uint32_t register_of(const Slice *slice)
{
    return slice->has_open ? slice->open : 0xffffffffu;
}

static void extend_word(Slice *slice, const uint8_t *text, size_t bytes)
{
    uint32_t crc = register_of(slice);
    for (size_t at = 0; at < bytes; at++)
        crc = crc_of_byte(crc, text[at]);
    slice->open = crc;
    slice->has_open = 1;
}

/* Extend the word by the ASCII letters that a text begins with; return how many there are. */
static size_t extend_by_ascii(Slice *slice, const uint8_t *text, size_t bytes)
{
    uint32_t crc = register_of(slice);
    size_t at = 0;
    for (uint8_t letter; at < bytes && (letter = LETTERS[text[at]]); at++)
        crc = crc_of_byte(crc, letter);
    slice->open = crc;
    slice->has_open |= at > 0;
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
    return character < CHARACTERS ? model->kinds[character] : GAP | CHANGES;
}

/* Append the character, no letter of ASCII, that starts a text; return its length. */
static size_t append_character(Slice *slice, const Model *model, Queue *queue,
                               const uint8_t *text, size_t bytes)
{
    uint32_t character;
    size_t length = decode(text, bytes, &character);
    uint8_t kind = kind_of(model, character) & ~CHANGES;
    if (kind == ALONE && length < 3)
        kind = LETTER; /* there is none such, and `most_buckets` counts on it */
    if (kind == UNSEEN)
        return length;
    if (slice->has_open && (kind == GAP || kind == ALONE))
        close_word(slice, model, queue);
    if (kind == LETTER || kind == ALONE || (kind == MARK && slice->has_open))
        extend_word(slice, text, length);
    if (kind == ALONE)
        close_word(slice, model, queue);
    return length;
}

/* Append a text for which the slice has room. */
static void append(Slice *slice, const Model *model, const uint8_t *text, size_t bytes)
{
    Queue queue;
    queue.count = 0;
    for (size_t at = 0; (at += extend_by_ascii(slice, text + at, bytes - at)) < bytes;) {
        if (text[at] >= 0x80) {
            at += append_character(slice, model, &queue, text + at, bytes - at);
            continue;
        }
        if (slice->has_open)
            close_word(slice, model, &queue);
        at++;
    }
    see_queue(slice, model, &queue);
}

/* Sum over root of count, the open word included as if it were closed; -inf without a word. */
static double margin(const Slice *slice, const Model *model)
{
    int64_t sum = slice->sum;
    uint32_t count = slice->count;
    if (slice->has_open) {
        uint32_t word = ~slice->open & (BUCKETS - 1);
        uint32_t pair = (slice->previous * PAIR + ~slice->open) & (BUCKETS - 1);
        if (is_new(slice, word)) {
            sum += weight(model, word);
            count += 1;
        }
        if (slice->has_previous && pair != word && is_new(slice, pair)) {
            sum += weight(model, pair);
            count += 1;
        }
    }
    return count ? (double)sum * 0x1p-24 / sqrt(count) : -INFINITY;
}

static size_t size_of(uint32_t places)
{
    return sizeof(Slice) + places * sizeof(uint32_t);
}

/* The set has four times the places that it needs: looking for one seldom takes a second step. */
static double margin_of(const Model *model, const uint8_t *text, size_t bytes)
{
    AnySlice any;
    uint32_t places = places_for(4 * most_buckets(bytes));
    memset(&any, 0, size_of(places));
    any.slice.places = places;
    append(&any.slice, model, text, bytes);
    return margin(&any.slice, model);
}

/* How many bytes a model is. */
int watchgate_model_bytes(void)
{
    return sizeof(Model);
}

/* Return whether a text has the words, as it stands, that it has when it is normalised. */
int watchgate_is_normal(const Model *model, const uint8_t *text, uint32_t bytes)
{
    for (size_t at = 0; at < bytes;) {
        uint32_t character = text[at];
        at += character < 0x80 ? 1 : decode(text + at, bytes - at, &character);
        if (character >= 0x80 && kind_of(model, character) & CHANGES)
            return 0;
    }
    return 1;
}

/* Return the margin of a text. */
double watchgate_margin(const Model *model, const uint8_t *text, uint32_t bytes)
{
    return margin_of(model, text, bytes);
}

/* Return the highest margin of the slices of an ASCII text. */
double watchgate_highest(const Model *model, const uint8_t *text, uint32_t bytes)
{
    double highest = -INFINITY;
    size_t rest = bytes;
    for (;; text += STEP_BYTES, rest -= STEP_BYTES) {
        double here = margin_of(model, text, rest < SLICE_BYTES ? rest : SLICE_BYTES);
        if (here > highest)
            highest = here;
        if (rest <= SLICE_BYTES)
            return highest;
    }
}

/* How many bytes a slice is that has room for all of `old`, if that is one, and for more text. */
int watchgate_slice_bytes(const Slice *old, uint32_t more_bytes)
{
    size_t seen = old ? old->count : 0;
    return (int)size_of(places_for(seen + most_buckets(more_bytes)));
}

/* Make of zero bytes, aligned for an int64_t and as many as `watchgate_slice_bytes` said, a slice
 * that goes on where `old` stands, if that is one, which is no bitmap. */
void watchgate_move(Slice *slice, uint32_t bytes, const Slice *old)
{
    slice->places = (uint32_t)((bytes - sizeof(Slice)) / sizeof(uint32_t));
    if (!old)
        return;
    slice->sum = old->sum;
    slice->count = old->count;
    slice->previous = old->previous;
    slice->open = old->open;
    slice->has_previous = old->has_previous;
    slice->has_open = old->has_open;
    for (uint32_t place = 0; place < old->places; place++)
        if (old->seen[place])
            put(slice, old->seen[place] - 1);
}

/* Append text, whose last word stays open, and return the margin of all text so far; or return
 * infinity, and leave the slice as it is, if it has no room: then it has to move. */
double watchgate_add(Slice *slice, const Model *model, const uint8_t *text, uint32_t bytes)
{
    size_t most = slice->count + most_buckets(bytes);
    if (slice->places != BITMAP && most > most_in(slice->places))
        return INFINITY;
    append(slice, model, text, bytes);
    return margin(slice, model);
}

/* Return what `watchgate_add` would, and leave the slice as it is. */
double watchgate_try(const Slice *slice, const Model *model, const uint8_t *text, uint32_t bytes)
{
    AnySlice copy;
    memcpy(&copy, slice, size_of(slice->places));
    return watchgate_add(&copy.slice, model, text, bytes);
}

/* Forget the open word. */
void watchgate_forget(Slice *slice)
{
    slice->has_open = 0;
}
