/* The connections of mock.c: buffers, what epoll watches, sending without ever waiting. */
#ifndef MOCK_CONN_H
#define MOCK_CONN_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MODEL_SIZE = 64 };

struct buffer {
    char *data;
    size_t size, room;
};

struct conn;
struct watch { /* what epoll hands back: which descriptor of which connection */
    struct conn *conn;
    int fd;
};

struct conn {
    struct watch socket, timer;
    struct buffer in, out;
    bool streaming, wants_usage, closed;
    int chunk, chunks, reset_at; /* reset_at 0: never */
    unsigned long id;
    uint64_t text; /* where its random words are */
    char model[MODEL_SIZE];
    struct conn *next_closed;
};

static int poller;
static struct conn *closed_conns;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void append(struct buffer *b, const char *data, size_t size)
{
    if (b->size + size + 1 > b->room) {
        b->room = (b->size + size + 1) * 2;
        if (!(b->data = realloc(b->data, b->room)))
            fail("realloc");
    }
    memcpy(b->data + b->size, data, size);
    b->size += size;
    b->data[b->size] = 0; /* so that string functions may look at it */
}

static void discard(struct buffer *b, size_t size)
{
    memmove(b->data, b->data + size, b->size - size + 1);
    b->size -= size;
}

static void close_conn(struct conn *c)
{
    if (c->closed)
        return;
    c->closed = true;
    close(c->socket.fd);
    if (c->timer.fd >= 0)
        close(c->timer.fd);
    c->next_closed = closed_conns; /* freed after the batch: a later event may still point to it */
    closed_conns = c;
}

/* Closes with RST in place of FIN, as a server does that died. */
static void reset_conn(struct conn *c)
{
    struct linger at_once = {1, 0};
    if (!c->closed)
        setsockopt(c->socket.fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close_conn(c);
}

static void free_closed(void)
{
    while (closed_conns) {
        struct conn *c = closed_conns;
        closed_conns = c->next_closed;
        free(c->in.data);
        free(c->out.data);
        free(c);
    }
}

static void watch(int op, struct watch *w, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    if (epoll_ctl(poller, op, w->fd, &e))
        fail("epoll_ctl");
}

static void flush(struct conn *c)
{
    while (c->out.size) {
        ssize_t n = send(c->socket.fd, c->out.data, c->out.size, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            close_conn(c);
            return;
        }
        discard(&c->out, (size_t)n);
    }
    watch(EPOLL_CTL_MOD, &c->socket, EPOLLIN);
}

static void put(struct conn *c, const char *data, size_t size)
{
    ssize_t n = 0;
    if (c->closed)
        return;
    if (!c->out.size && (n = send(c->socket.fd, data, size, MSG_NOSIGNAL)) < 0) {
        if (errno != EAGAIN) {
            close_conn(c);
            return;
        }
        n = 0;
    }
    if ((size_t)n < size) {
        append(&c->out, data + n, size - (size_t)n);
        watch(EPOLL_CTL_MOD, &c->socket, EPOLLIN | EPOLLOUT);
    }
}

static void accept_conn(int listener)
{
    int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    struct conn *c = fd < 0 ? NULL : calloc(1, sizeof *c);
    if (!c)
        return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->socket = (struct watch){c, fd};
    c->timer = (struct watch){c, -1};
    watch(EPOLL_CTL_ADD, &c->socket, EPOLLIN);
}

static int listen_on(int port)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 4096))
        fail("listen");
    return fd;
}

#endif
