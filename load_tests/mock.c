/* A fast stand-in for vLLM's HTTP API, for benchmarks: only the cost of what stands in front counts.
 *
 *   mock PORT        listens on 127.0.0.1:PORT, serves until it is killed
 *
 * GET /health, GET /v1/models, POST /v1/chat/completions (JSON, and SSE when "stream" is true).
 * The model's name in the body says how to stream: mock-<interval_ms>[-<chunks>], by default
 * mock-20-100: 100 chunks, one every 20 ms, each with a send() of its own, then the usage chunk if
 * stream_options.include_usage asks for it, then [DONE]. With interval 0 all are sent at once.
 * mock-20-100-50 besides resets the connection half-way through every 50th answer that is streamed.
 * Every chunk but the first is a word, and no two answers are alike.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <sys/timerfd.h>

#include "mock_conn.h"
#include "words.h"

enum { BATCH = 256, READ_SIZE = 16384, MAX_REQUEST = 64 << 20 };

enum { ANSWER_WORDS = 35 };

static unsigned long answers, streams;

static void put_answer(struct conn *c, const char *status, const char *body)
{
    char message[3072];
    int n = snprintf(message, sizeof message,
                     "HTTP/1.1 %s\r\nserver: uvicorn\r\ncontent-length: %zu\r\n"
                     "content-type: application/json\r\n\r\n%s", status, strlen(body), body);
    put(c, message, (size_t)n);
}

static void put_event(struct conn *c, const char *format, ...)
{
    char event[1024], message[1100];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(event, sizeof event, format, arguments);
    va_end(arguments);
    n = snprintf(message, sizeof message, "%x\r\ndata: %s\n\n\r\n", n + 8, event);
    put(c, message, (size_t)n);
}

#define CHUNK_HEAD "{\"id\":\"chatcmpl-%032lx\",\"object\":\"chat.completion.chunk\"," \
                   "\"created\":1763700000,\"model\":\"%s\",\"choices\":"

static void end_stream(struct conn *c)
{
    if (c->wants_usage)
        put_event(c, CHUNK_HEAD "[],\"usage\":{\"prompt_tokens\":321,\"total_tokens\":%d,"
                  "\"completion_tokens\":%d}}", c->id, c->model, 321 + c->chunks, c->chunks);
    put_event(c, "[DONE]");
    put(c, "0\r\n\r\n", 5);
    c->streaming = false;
    if (!c->closed && c->timer.fd >= 0)
        close(c->timer.fd);
    c->timer.fd = -1;
}

static void next_chunk(struct conn *c)
{
    char delta[64] = "\"role\":\"assistant\",\"content\":\"\"", word[WORD_SIZE];
    bool last = c->chunk + 1 == c->chunks;
    if (c->chunk) {
        next_word(&c->text, word);
        snprintf(delta, sizeof delta, "\"content\":\" %s\"", word);
    }
    put_event(c, CHUNK_HEAD "[{\"index\":0,\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s}]}",
              c->id, c->model, delta, last ? "\"stop\"" : "null");
    c->chunk++;
    if (last)
        end_stream(c);
    else if (c->chunk == c->reset_at)
        reset_conn(c);
}

static void start_timer(struct conn *c, long interval_ms)
{
    struct timespec every = {interval_ms / 1000, interval_ms % 1000 * 1000000};
    struct itimerspec times = {every, every};
    c->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (c->timer.fd < 0 || timerfd_settime(c->timer.fd, 0, &times, NULL))
        fail("timerfd");
    watch(EPOLL_CTL_ADD, &c->timer, EPOLLIN);
}

static void start_stream(struct conn *c, long interval_ms, long reset_every)
{
    static const char HEAD[] = "HTTP/1.1 200 OK\r\nserver: uvicorn\r\ntransfer-encoding: chunked\r\n"
                               "content-type: text/event-stream; charset=utf-8\r\n\r\n";
    put(c, HEAD, sizeof HEAD - 1);
    streams++;
    c->streaming = true;
    c->chunk = 0;
    c->reset_at = reset_every && streams % (unsigned long)reset_every == 0 ? (c->chunks + 1) / 2 : 0;
    next_chunk(c);
    if (interval_ms && c->streaming && !c->closed)
        start_timer(c, interval_ms);
    while (!interval_ms && c->streaming && !c->closed)
        next_chunk(c);
}

static void complete(struct conn *c)
{
    char body[2500], text[ANSWER_WORDS * WORD_SIZE + 1] = "";
    for (char *at = text, i = 0; i < ANSWER_WORDS; i++) {
        at += next_word(&c->text, at);
        *at++ = i + 1 < ANSWER_WORDS ? ' ' : 0;
    }
    snprintf(body, sizeof body,
             "{\"id\":\"chatcmpl-%032lx\",\"object\":\"chat.completion\",\"created\":1763700000,"
             "\"model\":\"%s\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
             "\"content\":\"%s\",\"refusal\":null,\"tool_calls\":[],\"reasoning_content\":null},"
             "\"logprobs\":null,\"finish_reason\":\"stop\",\"stop_reason\":null}],"
             "\"service_tier\":null,\"system_fingerprint\":null,\"usage\":{\"prompt_tokens\":321,"
             "\"total_tokens\":356,\"completion_tokens\":35,\"prompt_tokens_details\":null},"
             "\"prompt_logprobs\":null}", c->id, c->model, text);
    put_answer(c, "200 OK", body);
}

/* The text after "key": in a JSON body, or NULL. Enough for bodies that the benchmark writes. */
static const char *value_of(const char *body, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    const char *at = strstr(body, quoted);
    return at ? at + strlen(quoted) + strspn(at + strlen(quoted), " :") : NULL;
}

static bool is_true(const char *body, const char *key)
{
    const char *value = value_of(body, key);
    return value && !strncmp(value, "true", 4);
}

static void chat(struct conn *c, const char *body)
{
    long interval_ms = 20, reset_every = 0;
    const char *model = value_of(body, "model");
    c->id = ++answers;
    c->text = c->id << 32; /* so that no answer begins where another has been */
    c->chunks = 100;
    c->wants_usage = is_true(body, "include_usage");
    if (!model || sscanf(model, "\"%63[A-Za-z0-9._-]\"", c->model) != 1) {
        put_answer(c, "400 Bad Request", "{\"error\":{\"message\":\"model is missing\"}}");
        return;
    }
    sscanf(c->model, "mock-%ld-%d-%ld", &interval_ms, &c->chunks, &reset_every);
    if (c->chunks < 1)
        c->chunks = 1;
    if (is_true(body, "stream"))
        start_stream(c, interval_ms, reset_every);
    else
        complete(c);
}

static void answer(struct conn *c, const char *head, const char *body)
{
    if (!strncmp(head, "POST /v1/chat/completions ", 26))
        chat(c, body);
    else if (!strncmp(head, "GET /health ", 12))
        put_answer(c, "200 OK", "");
    else if (!strncmp(head, "GET /v1/models ", 15))
        put_answer(c, "200 OK", "{\"object\":\"list\",\"data\":[{\"id\":\"mock-20\",\"object\":\"model\"}]}");
    else
        put_answer(c, "404 Not Found", "{\"detail\":\"Not Found\"}");
}

/* Where the body that starts at `body` ends, or NULL while it is not all there. */
static char *body_end(const char *head, char *body, char *end)
{
    const char *length = strcasestr(head, "\r\ncontent-length:");
    if (length) {
        long size = atol(length + 17);
        return size >= 0 && size <= end - body ? body + size : NULL;
    }
    if (strcasestr(head, "\r\ntransfer-encoding: chunked")) { /* searched through its framing */
        char *last = memmem(body, (size_t)(end - body), "0\r\n\r\n", 5);
        return last ? last + 5 : NULL;
    }
    return body;
}

static void handle_requests(struct conn *c)
{
    while (!c->closed && !c->streaming && c->in.size) {
        char *body = strstr(c->in.data, "\r\n\r\n");
        if (!body)
            return;
        body += 4;
        body[-2] = 0;
        char *end = body_end(c->in.data, body, c->in.data + c->in.size);
        body[-2] = '\r';
        if (!end)
            return;
        char kept = *end;
        *end = 0;
        answer(c, c->in.data, body);
        *end = kept;
        discard(&c->in, (size_t)(end - c->in.data));
    }
}

static void on_readable(struct conn *c)
{
    char data[READ_SIZE];
    ssize_t n = recv(c->socket.fd, data, sizeof data, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN) || c->in.size > MAX_REQUEST) {
        close_conn(c);
    } else if (n > 0) {
        append(&c->in, data, (size_t)n);
        handle_requests(c);
    }
}

static void on_timer(struct conn *c)
{
    uint64_t due = 0;
    if (read(c->timer.fd, &due, sizeof due) != sizeof due)
        return;
    while (due-- && c->streaming && !c->closed)
        next_chunk(c);
    handle_requests(c);
}

static void on_event(struct epoll_event *e)
{
    struct watch *w = e->data.ptr;
    struct conn *c = w->conn;
    if (!c) {
        accept_conn(w->fd);
    } else if (c->closed) {
        return;
    } else if (w == &c->timer) {
        if (c->timer.fd >= 0)
            on_timer(c);
    } else {
        if (e->events & EPOLLOUT)
            flush(c);
        if (!c->closed && e->events & ~(uint32_t)EPOLLOUT)
            on_readable(c);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fputs("usage: mock PORT\n", stderr);
        return 2;
    }
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct watch listener = {NULL, listen_on(atoi(argv[1]))};
    watch(EPOLL_CTL_ADD, &listener, EPOLLIN);
    for (;;) {
        struct epoll_event events[BATCH];
        int n = epoll_wait(poller, events, BATCH, -1);
        for (int i = 0; i < n; i++)
            on_event(&events[i]);
        free_closed();
    }
}
