/* What detectors/plain.py does with a text, for an event loop: find words, hash, look up, add up.
 *
 * Text comes as UTF-8 that detectors/features.py has normalised, or as ASCII as it stands. There is
 * no state but what the caller owns, nothing is allocated, and every index is held to its table.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define BUCKETS (1u << 18) /* features.BUCKETS */
#define PAIR 0x9E3779B1u   /* features._PAIR */

#define CHARACTERS 0x40000 /* features.CHARACTERS */

enum { GAP, MARK, LETTER, ALONE }; /* features.kinds_of_characters */

typedef struct {
    float weights[BUCKETS];
    uint8_t kinds[CHARACTERS]; /* of characters; of those above, GAP */
} Model;

/* A slice so far. All zero is an empty one. */
typedef struct {
    double sum;        /* of the weights of the buckets seen */
    uint32_t count;    /* of the buckets seen */
    uint32_t previous; /* hash of the last word that is closed, if there is one */
    uint32_t open;     /* CRC-32 register of the word that may still grow, if there is one */
    uint8_t has_previous, has_open;
    uint8_t seen[BUCKETS / 8];
} Slice;

/* CRC-32 of IEEE 802.3, as zlib's, half a byte at a time. */
static uint32_t crc_of_half(uint32_t crc)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    return table[crc & 15] ^ (crc >> 4);
}

static void see(Slice *slice, const float *weights, uint32_t hash)
{
    uint32_t bucket = hash & (BUCKETS - 1);
    uint8_t bit = (uint8_t)(1u << (bucket & 7));
    if (slice->seen[bucket >> 3] & bit)
        return;
    slice->seen[bucket >> 3] |= bit;
    slice->sum += weights[bucket];
    slice->count += 1;
}

static void close_word(Slice *slice, const float *weights)
{
    uint32_t hash = ~slice->open;
    see(slice, weights, hash);
    if (slice->has_previous)
        see(slice, weights, slice->previous * PAIR + hash);
    slice->previous = hash;
    slice->has_previous = 1;
    slice->has_open = 0;
}

static void extend_word(Slice *slice, const uint8_t *text, size_t bytes)
{
    uint32_t crc = slice->has_open ? slice->open : 0xffffffffu;
    for (size_t at = 0; at < bytes; at++) {
        uint8_t byte = text[at] >= 'A' && text[at] <= 'Z' ? text[at] | 0x20 : text[at];
        crc = crc_of_half(crc_of_half(crc ^ byte));
    }
    slice->open = crc;
    slice->has_open = 1;
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

static void append(Slice *slice, const Model *model, const uint8_t *text, size_t bytes)
{
    for (size_t at = 0, length; at < bytes; at += length) {
        uint32_t character;
        length = decode(text + at, bytes - at, &character);
        uint8_t kind = character < CHARACTERS ? model->kinds[character] : GAP;
        if (slice->has_open && (kind == GAP || kind == ALONE))
            close_word(slice, model->weights);
        if (kind == LETTER || kind == ALONE || (kind == MARK && slice->has_open))
            extend_word(slice, text + at, length);
        if (kind == ALONE)
            close_word(slice, model->weights);
    }
}

static int is_new(const Slice *slice, uint32_t bucket)
{
    return !(slice->seen[bucket >> 3] >> (bucket & 7) & 1);
}

/* Sum over root of count, the open word included as if it were closed; -inf without a word. */
static double margin(const Slice *slice, const float *weights)
{
    double sum = slice->sum;
    uint32_t count = slice->count;
    if (slice->has_open) {
        uint32_t word = ~slice->open & (BUCKETS - 1);
        uint32_t pair = (slice->previous * PAIR + ~slice->open) & (BUCKETS - 1);
        if (is_new(slice, word)) {
            sum += weights[word];
            count += 1;
        }
        if (slice->has_previous && pair != word && is_new(slice, pair)) {
            sum += weights[pair];
            count += 1;
        }
    }
    return count ? sum / sqrt(count) : -INFINITY;
}

/* How many bytes a model is. */
size_t watchgate_model_bytes(void)
{
    return sizeof(Model);
}

/* How many zero bytes, aligned for a double, make an empty slice. */
size_t watchgate_slice_bytes(void)
{
    return sizeof(Slice);
}

/* Append text, whose last word stays open; return the margin of all text so far. */
double watchgate_add(Slice *slice, const Model *model, const uint8_t *text, size_t bytes)
{
    append(slice, model, text, bytes);
    return margin(slice, model->weights);
}

/* Return what `watchgate_add` would, and leave the slice as it is. */
double watchgate_try(const Slice *slice, const Model *model, const uint8_t *text, size_t bytes)
{
    Slice copy = *slice;
    return watchgate_add(&copy, model, text, bytes);
}

/* Forget the open word. */
void watchgate_forget(Slice *slice)
{
    slice->has_open = 0;
}

/* Return the margin of a text. */
double watchgate_margin(const Model *model, const uint8_t *text, size_t bytes)
{
    Slice slice = {0};
    return watchgate_add(&slice, model, text, bytes);
}
