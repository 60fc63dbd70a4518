/* Text of words, never the same twice: no cache in front of us or behind sees anything again.
 *
 * Seven words in ten are common, as in prose; the others are put together of syllables, as names and
 * rare words are: so a cache of words finds the common ones, and must look at the rest.
 */
#ifndef WORDS_H
#define WORDS_H

#include <stdint.h>
#include <string.h>

enum { WORD_SIZE = 24 };

static const char *const COMMON[] = {
    "the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "as", "was", "with", "be", "by",
    "on", "not", "he", "his", "but", "at", "are", "this", "have", "from", "or", "had", "an", "they",
    "which", "one", "you", "were", "all", "her", "she", "there", "would", "their", "we", "him",
    "been", "has", "when", "who", "will", "no", "more", "if", "out", "so", "up", "said", "what",
    "its", "about", "than", "into", "them", "can", "only", "other", "time", "new", "some", "could",
    "these", "two", "may", "first", "then", "do", "any", "like", "my", "now", "over", "such", "our",
    "man", "me", "even", "most", "made", "after", "also", "well", "did", "many", "before", "must",
    "years", "back", "through", "much", "where", "your", "down", "way", "should", "because", "long",
    "each", "just", "state", "those", "people", "too", "little", "good", "very", "make", "world",
    "still", "see", "own", "work", "men", "day", "get", "here", "old", "life", "both", "between",
    "being", "under", "three", "never", "know", "same", "last", "another", "while", "us", "off",
    "might", "great", "go", "come", "since", "against", "right", "came", "take", "used", "himself",
    "few", "house", "use", "place", "during", "high", "without", "again", "home", "around", "small",
    "however", "found", "part", "school", "once", "say", "upon", "every", "does", "number", "until",
    "river", "lamp", "bread", "garden", "letter", "window", "morning", "winter", "station", "paper",
};

static const char *const SYLLABLES[] = {
    "ba", "bel", "bor", "ca", "cen", "col", "da", "den", "dor", "el", "fan", "fer", "gal", "gen",
    "har", "hol", "il", "jan", "ka", "kel", "la", "lin", "lor", "ma", "mer", "mon", "na", "nel",
    "nor", "or", "pa", "per", "pol", "qui", "ra", "rin", "ros", "sa", "sel", "son", "ta", "ter",
    "tol", "ul", "va", "ver", "vin", "wa", "wen", "wol", "yar", "zan", "zer", "zi",
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Steele and Vigna's splitmix64: any seed will do, also 0. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* Writes a word and its end (0) to `word`; gives its length. */
static size_t next_word(uint64_t *state, char word[WORD_SIZE])
{
    uint64_t r = next_random(state);
    if (r % 10 < 7) {
        strcpy(word, COMMON[(r >> 8) % COUNT(COMMON)]);
    } else {
        word[0] = 0;
        for (int i = 2 + (r >> 4 & 1); i; i--)
            strcat(word, SYLLABLES[(r >> 16 * i) % COUNT(SYLLABLES)]);
    }
    return strlen(word);
}

#endif
