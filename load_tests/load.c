/* Closed-loop load: every connection sends its next request when the last answer is complete.
 *
 *   load json PORT CONNECTIONS SECONDS REQUEST_FILE
 *   load sse  PORT CONNECTIONS SECONDS REQUEST_FILE EVENTS STAGGER_US
 *
 * REQUEST_FILE is a whole HTTP/1.1 request, head and body; in it "@@@@@@@@@@@@" becomes a number, and
 * the first run of "~" words, that are new in each request of each run, so that no cache answers: neither
 * one of whole prompts nor one of their parts. After SECONDS no request starts; those
 * under way are finished, so that no cost of cancelling is measured. An SSE answer is complete when
 * it had EVENTS events, then [DONE], then the last HTTP chunk; the first request of connection i
 * starts i * STAGGER_US after the begin, so that the streams do not tick together. A JSON answer is
 * complete when it ends with "}" and holds "total_tokens". Prints one JSON object.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load_answer.h"
#include "words.h"

enum { BATCH = 256, READ_SIZE = 65536, MAX_ERRORS = 100, GRACE_S = 60 };
enum { REQUEST_SIZE = 1 << 20, POOL_SIZE = 4 << 20 };

struct lane { /* one connection */
    int fd;
    bool busy;
    double starts, sent, first;
    struct answer answer;
};

struct series {
    double *values;
    size_t count, room;
};

static struct {
    bool sse;
    int port, connections, events;
    double seconds, stagger_s;
    char *request, *number, *text;
    size_t request_size, text_size;
} plan;

static const char NUMBER[] = "@@@@@@@@@@@@";

static int poller;
static long completed, events, errors, busy;
static struct series first_bytes, latencies;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void give_up(const char *why)
{
    fprintf(stderr, "load: %s\n", why);
    exit(1);
}

static void error(const char *why)
{
    if (errors++ < 3)
        fprintf(stderr, "load: %s\n", why);
    if (errors > MAX_ERRORS)
        give_up("too many errors");
}

static void add(struct series *s, double value)
{
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 4096;
        if (!(s->values = realloc(s->values, s->room * sizeof *s->values)))
            give_up("out of memory");
    }
    s->values[s->count++] = value;
}

static void connect_lane(struct lane *l)
{
    int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)plan.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = l};
    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&to, sizeof to))
        give_up("cannot connect");
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, l->fd, &e))
        give_up("epoll_ctl");
}

static uint64_t started_at(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Words enough that a piece of any place in them is new. */
static const char *new_words(uint64_t *random)
{
    static char pool[POOL_SIZE + WORD_SIZE + 1];
    for (char *at = pool; at < pool + POOL_SIZE; *at++ = ' ')
        at += next_word(random, at);
    return pool;
}

static void vary_request(void)
{
    static uint64_t number, random;
    static const char *words;
    char digits[sizeof NUMBER];
    if (!words) {
        number = random = started_at(); /* not from 0: another run would send the same again */
        words = new_words(&random);
    }
    snprintf(digits, sizeof digits, "%012lu", (unsigned long)(++number % 1000000000000));
    if (plan.number)
        memcpy(plan.number, digits, sizeof NUMBER - 1);
    if (plan.text)
        memcpy(plan.text, words + next_random(&random) % (POOL_SIZE - plan.text_size), plan.text_size);
}

static void send_request(struct lane *l)
{
    size_t done = 0;
    vary_request();
    memset(&l->answer, 0, sizeof l->answer);
    l->first = 0;
    l->sent = now();
    while (done < plan.request_size) {
        ssize_t n = send(l->fd, plan.request + done, plan.request_size - done, MSG_NOSIGNAL);
        if (n < 0) {
            error("connection was closed while the request was sent");
            break; /* recv() will see it closed, and connect again */
        }
        done += (size_t)n;
    }
    busy += !l->busy;
    l->busy = true;
}

static void finish(struct lane *l, double end)
{
    const char *wrong = plan.sse ? why_not_a_stream(&l->answer, plan.events) : why_not_json(&l->answer);
    double t = now();
    if (wrong)
        error(wrong);
    completed++;
    events += l->answer.events;
    add(&first_bytes, l->first - l->sent);
    add(&latencies, t - l->sent);
    l->busy = false;
    busy--;
    if (t < end)
        send_request(l);
}

static void reconnect(struct lane *l, double end)
{
    if (l->busy)
        error("connection was closed before the answer was complete");
    close(l->fd);
    connect_lane(l);
    busy -= l->busy;
    l->busy = false;
    if (now() < end)
        send_request(l);
}

static void on_readable(struct lane *l, double end)
{
    static char data[READ_SIZE];
    ssize_t n = recv(l->fd, data, sizeof data, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        reconnect(l, end);
        return;
    }
    feed(&l->answer, data, (size_t)n);
    if (!l->first && l->answer.body_size)
        l->first = now();
    if (l->answer.state == BROKEN) {
        error("answer is not HTTP/1.1 with a length or chunks");
        reconnect(l, end);
    } else if (l->answer.state == COMPLETE) {
        finish(l, end);
    }
}

static int start_due(struct lane *lanes)
{
    static int started;
    while (started < plan.connections && now() >= lanes[started].starts)
        send_request(&lanes[started++]);
    return started;
}

static double run(struct lane *lanes)
{
    double begin = now(), end = begin + plan.seconds;
    for (int i = 0; i < plan.connections; i++)
        lanes[i].starts = begin + i * plan.stagger_s;
    while (busy || now() < end) {
        struct epoll_event ready[BATCH];
        int all_started = now() >= end || start_due(lanes) == plan.connections;
        int n = epoll_wait(poller, ready, BATCH, all_started ? 50 : 1);
        for (int i = 0; i < n; i++)
            on_readable(ready[i].data.ptr, end);
        if (now() > end + GRACE_S)
            give_up("answers did not end in time");
    }
    return now() - begin;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_series(const char *name, struct series *s)
{
    static const int PERCENTS[] = {50, 90, 99};
    qsort(s->values, s->count, sizeof *s->values, compare);
    printf(", \"%s\": {", name);
    for (int i = 0; i < 3; i++) {
        double value = s->count ? s->values[s->count * (size_t)PERCENTS[i] / 100] * 1e6 : 0;
        printf("%s\"p%d\": %.1f", i ? ", " : "", PERCENTS[i], value);
    }
    printf("}");
}

static char *read_request(const char *path, size_t *size)
{
    static char request[REQUEST_SIZE + 1]; /* ends with 0 */
    FILE *file = fopen(path, "rb");
    if (!file)
        give_up("cannot read the request file");
    *size = fread(request, 1, REQUEST_SIZE, file);
    fclose(file);
    return request;
}

int main(int argc, char **argv)
{
    plan.sse = argc == 8 && !strcmp(argv[1], "sse");
    if (!plan.sse && (argc != 6 || strcmp(argv[1], "json"))) {
        fputs("usage: load json PORT CONNECTIONS SECONDS REQUEST_FILE\n"
              "       load sse PORT CONNECTIONS SECONDS REQUEST_FILE EVENTS STAGGER_US\n", stderr);
        return 2;
    }
    plan.port = atoi(argv[2]);
    plan.connections = atoi(argv[3]);
    plan.seconds = atof(argv[4]);
    plan.request = read_request(argv[5], &plan.request_size);
    plan.number = memmem(plan.request, plan.request_size, NUMBER, sizeof NUMBER - 1);
    plan.text = strchr(plan.request, '~');
    plan.text_size = plan.text ? strspn(plan.text, "~") : 0;
    plan.events = plan.sse ? atoi(argv[6]) : 0;
    plan.stagger_s = plan.sse ? atof(argv[7]) * 1e-6 : 0;
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct lane *lanes = calloc((size_t)plan.connections, sizeof *lanes);
    for (int i = 0; i < plan.connections; i++)
        connect_lane(&lanes[i]);
    double seconds = run(lanes);
    printf("{\"requests\": %ld, \"events\": %ld, \"errors\": %ld, \"seconds\": %.3f",
           completed, events, errors, seconds);
    print_series("first_byte_us", &first_bytes);
    print_series("latency_us", &latencies);
    puts("}");
    return 0;
}
