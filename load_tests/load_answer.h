/* What load.c knows of HTTP/1.1 answers: head, length or chunks, JSON or server-sent events. */
#ifndef LOAD_ANSWER_H
#define LOAD_ANSWER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEAD_SIZE = 8192, LINE_SIZE = 32, KEPT_BODY = 16384 };
enum state { HEAD, LENGTH, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, COMPLETE, BROKEN };

struct answer {
    enum state state;
    char head[HEAD_SIZE + 1];
    size_t head_size, left, body_size;
    char line[LINE_SIZE]; /* the start of an SSE line, or of a line of the chunked framing */
    size_t line_size;
    int events;
    bool done, failed;
    char framing[LINE_SIZE];
    size_t framing_size;
    char body[KEPT_BODY + 1]; /* of a JSON answer */
};

static void end_of_line(struct answer *a)
{
    a->line[a->line_size < LINE_SIZE ? a->line_size : LINE_SIZE - 1] = 0;
    a->line_size = 0;
    if (!strncmp(a->line, "data: [DONE]", 12))
        a->done = true;
    else if (!strncmp(a->line, "data: {\"error", 13))
        a->failed = true;
    else if (!strncmp(a->line, "data: ", 6))
        a->events++;
}

static void feed_body(struct answer *a, const char *data, size_t size)
{
    size_t room = a->body_size < KEPT_BODY ? KEPT_BODY - a->body_size : 0;
    memcpy(a->body + (KEPT_BODY - room), data, size < room ? size : room);
    a->body_size += size;
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n')
            end_of_line(a);
        else if (a->line_size < LINE_SIZE - 1)
            a->line[a->line_size++] = data[i];
    }
}

static void start_body(struct answer *a)
{
    const char *length = strcasestr(a->head, "\r\ncontent-length:");
    if (strcasestr(a->head, "\r\ntransfer-encoding: chunked"))
        a->state = CHUNK_SIZE;
    else if (length)
        a->state = (a->left = strtoul(length + 17, NULL, 10)) ? LENGTH : COMPLETE;
    else
        a->state = BROKEN;
}

/* Takes bytes of the head; gives how many it took. */
static size_t feed_head(struct answer *a, const char *data, size_t size)
{
    size_t before = a->head_size, taken = HEAD_SIZE - before < size ? HEAD_SIZE - before : size;
    memcpy(a->head + before, data, taken);
    a->head_size += taken;
    a->head[a->head_size] = 0;
    char *end = strstr(a->head, "\r\n\r\n");
    if (!end) {
        a->state = a->head_size == HEAD_SIZE ? BROKEN : HEAD;
        return taken;
    }
    end[2] = 0;
    start_body(a);
    return (size_t)(end + 4 - a->head) - before;
}

/* Takes bytes of a body of known length or of a chunk; gives how many it took. */
static size_t feed_counted(struct answer *a, const char *data, size_t size)
{
    size_t taken = a->left < size ? a->left : size;
    feed_body(a, data, taken);
    a->left -= taken;
    if (!a->left)
        a->state = a->state == LENGTH ? COMPLETE : CHUNK_END;
    return taken;
}

/* Takes one byte of the framing around chunks. */
static void feed_framing(struct answer *a, char byte)
{
    if (byte != '\n') {
        if (byte != '\r' && a->framing_size < LINE_SIZE - 1)
            a->framing[a->framing_size++] = byte;
        return;
    }
    a->framing[a->framing_size] = 0;
    if (a->state == CHUNK_SIZE)
        a->state = (a->left = strtoul(a->framing, NULL, 16)) ? CHUNK : TRAILER;
    else if (a->state == CHUNK_END)
        a->state = a->framing_size ? BROKEN : CHUNK_SIZE;
    else if (!a->framing_size)
        a->state = COMPLETE;
    a->framing_size = 0;
}

static void feed(struct answer *a, const char *data, size_t size)
{
    while (size && a->state != COMPLETE && a->state != BROKEN) {
        size_t taken = 1;
        if (a->state == HEAD)
            taken = feed_head(a, data, size);
        else if (a->state == LENGTH || a->state == CHUNK)
            taken = feed_counted(a, data, size);
        else
            feed_framing(a, *data);
        data += taken;
        size -= taken;
    }
    if (size)
        a->state = BROKEN; /* nobody asked for more */
}

static const char *why_not_json(struct answer *a)
{
    a->body[a->body_size < KEPT_BODY ? a->body_size : KEPT_BODY] = 0;
    if (strncmp(a->head, "HTTP/1.1 200 ", 13))
        return "status is not 200";
    if (!strstr(a->body, "\"total_tokens\"") || a->body[strlen(a->body) - 1] != '}')
        return "JSON answer is not complete";
    return NULL;
}

static const char *why_not_a_stream(struct answer *a, int events)
{
    if (strncmp(a->head, "HTTP/1.1 200 ", 13))
        return "status is not 200";
    if (a->failed)
        return "stream holds an error event";
    if (!a->done)
        return "stream has no [DONE]";
    return a->events == events ? NULL : "stream has the wrong number of events";
}

#endif
