#include "rtp_round.h"

#include "rtp_socket.h"

#include <pjlib.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

/* Packets of a socket: more than 32 in 20 ms are no telephone call, and wait in the socket's buffer, or are lost there. */
#define MOST_PACKETS 32
/* A far end that sent one packet to each of so many rounds is even: the next one is expected in the next round. */
#define EVEN 50
/* What has waited for longer than the packets are apart has another one behind it. */
#define LONG_WAIT_NS 20000000

/* A packet that has come. */
struct incoming {
    pj_uint64_t arrival;
    pj_uint32_t length;
    pj_bool_t rtcp;
    pj_sockaddr source;
    /* SRTP decrypts in place and wants it even. */
    _Alignas(16) char packet[];
};

/* A packet that waits. */
struct outgoing {
    struct rtp_transport *transport;
    pj_uint32_t length;
    pj_uint32_t addr_len;
    pj_sockaddr to;
    _Alignas(16) char packet[];
};

#define ROOM(of, length) ((sizeof(struct of) + (length) + 15) & ~(pj_size_t)15)

struct place {
    struct rtp_transport *transport;
    struct incoming *first;
    unsigned count;
};

struct pjsys_rtp_round {
    struct place places[PJSYS_RTP_ROUND_MOST];
    unsigned places_taken;
    /* The clocks at the round's beginning: of the wall, by which the kernel stamps packets, and the monotonic one. */
    pj_int64_t wall;
    pj_uint64_t now;
    pj_size_t read;
    pj_size_t waiting;
    /* Packets one behind the other. There is room for as many as can be read; the memory that a round uses is what was
     * ever needed. What waits is sent early where it does not fit. */
    _Alignas(16) char outbox[PJSYS_RTP_ROUND_MOST * ROOM(outgoing, 512)];
    _Alignas(16) char inbox[PJSYS_RTP_ROUND_MOST * 2 * MOST_PACKETS * ROOM(incoming, PJMEDIA_MAX_MTU)];
};

/* This thread's round, while somebody takes part in it. */
static _Thread_local struct pjsys_rtp_round *current;
/* When the packet came that is being delivered. */
static _Thread_local pj_uint64_t arrival;

pj_status_t pjsys_arrival_timestamp(pj_timestamp *ts)
{
    if (!arrival)
        return pj_get_timestamp(ts);
    ts->u64 = arrival;
    return PJ_SUCCESS;
}

pjsys_rtp_round *pjsys_rtp_round_create(void)
{
    struct pjsys_rtp_round *round = malloc(sizeof(*round));
    if (round) {
        round->places_taken = 0;
        round->waiting = 0;
    }
    return round;
}

void pjsys_rtp_round_destroy(pjsys_rtp_round *round)
{
    free(round);
}

/* --- Reading ----------------------------------------------------------------------------------------------------- */

static pj_int64_t clock_now(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (pj_int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void begin(struct pjsys_rtp_round *round)
{
    round->wall = clock_now(CLOCK_REALTIME);
    round->now = (pj_uint64_t)clock_now(CLOCK_MONOTONIC);
    round->read = 0;
    round->waiting = 0;
    current = round;
}

/* How long before the round a packet came. */
static pj_int64_t waited_for(const struct pjsys_rtp_round *round, struct msghdr *message)
{
    struct cmsghdr *control;
    for (control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
        if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec stamp;
            pj_memcpy(&stamp, CMSG_DATA(control), sizeof(stamp));
            return round->wall - ((pj_int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec);
        }
    }
    return 0;
}

/* With `even` looks behind a packet only if that one has waited: to find nothing costs half of what a packet costs. */
static unsigned read_socket(struct pjsys_rtp_round *round, pj_sock_t socket, pj_bool_t rtcp, pj_bool_t even)
{
    char control[CMSG_SPACE(sizeof(struct timespec))];
    unsigned count = 0;
    unsigned found;

    for (found = 0; found < MOST_PACKETS; ++found) {
        struct incoming *incoming = (struct incoming *)(round->inbox + round->read);
        struct iovec part = {incoming->packet, PJMEDIA_MAX_MTU};
        struct msghdr message = {.msg_name = &incoming->source,
                                 .msg_namelen = sizeof(incoming->source),
                                 .msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control)};
        pj_int64_t waited;
        ssize_t length = recvmsg((int)socket, &message, MSG_DONTWAIT);
        if (length < 0)
            break;
        /* What does not fit is no packet of ours. Keep-alive packets may be empty. */
        if ((message.msg_flags & MSG_TRUNC) || !is_set(&incoming->source))
            continue;
        waited = waited_for(round, &message);
        incoming->arrival = round->now - (pj_uint64_t)waited;
        incoming->length = (pj_uint32_t)length;
        incoming->rtcp = rtcp;
        round->read += ROOM(incoming, (pj_size_t)length);
        ++count;
        if (even && waited < LONG_WAIT_NS)
            break;
    }
    return count;
}

unsigned pjsys_rtp_round_read(pjsys_rtp_round *round, pjmedia_transport *tp, pj_bool_t rtcp)
{
    struct rtp_transport *self = of(tp);
    struct pjsys_rtp_round *nobody = NULL;
    struct place *place;

    if (round->places_taken == PJSYS_RTP_ROUND_MOST)
        return 0;
    if (!round->places_taken)
        begin(round);
    place = &round->places[round->places_taken++];
    place->transport = NULL;
    place->count = 0;
    if (!atomic_compare_exchange_strong_explicit(&self->round, &nobody, round, memory_order_acquire,
                                                 memory_order_relaxed))
        return 0;
    place->transport = self;
    if (!atomic_load_explicit(&self->running, memory_order_acquire))
        return 0;
    place->first = (struct incoming *)(round->inbox + round->read);
    place->count = read_socket(round, self->sockets.rtp_sock, PJ_FALSE, self->even >= EVEN);
    self->even = place->count == 1 ? PJ_MIN(self->even + 1, EVEN) : 0;
    if (rtcp)
        place->count += read_socket(round, self->sockets.rtcp_sock, PJ_TRUE, PJ_FALSE);
    return place->count;
}

/* --- Delivering -------------------------------------------------------------------------------------------------- */

static struct listener take_listener(struct rtp_transport *self)
{
    struct listener listener;
    pthread_mutex_lock(&self->mutex);
    listener = self->listener;
    if (listener.owner)
        pj_grp_lock_add_ref(listener.owner);
    pthread_mutex_unlock(&self->mutex);
    return listener;
}

static void release_listener(const struct listener *listener)
{
    if (listener->owner)
        pj_grp_lock_dec_ref(listener->owner);
}

/* The far end sends from elsewhere: answer there. */
static void switch_rtp(struct rtp_transport *self, const pj_sockaddr *src)
{
    pthread_mutex_lock(&self->mutex);
    pjsys_rtp_source_moved(&self->source, arrival);
    if (self->mux) {
        pj_sockaddr_cp(&self->rem_rtcp, src);
    } else if (!is_set(&self->src_rtcp)) {
        /* As long as RTCP has not been heard, it is expected next to it. */
        pj_sockaddr_cp(&self->rem_rtcp, src);
        pj_sockaddr_set_port(&self->rem_rtcp, (pj_uint16_t)(pj_sockaddr_get_port(src) + 1));
    }
    pthread_mutex_unlock(&self->mutex);
}

static void deliver_rtp(struct rtp_transport *self, const struct listener *listener, struct incoming *incoming)
{
    pj_sockaddr *src = &incoming->source;
    enum pjsys_rtp_verdict verdict;

    pthread_mutex_lock(&self->mutex);
    verdict = pjsys_rtp_source_judge(&self->source, src, incoming->packet, incoming->length, arrival);
    if (verdict != PJSYS_RTP_DROP)
        pj_sockaddr_cp(&self->src_rtp, src);
    pthread_mutex_unlock(&self->mutex);
    if (verdict == PJSYS_RTP_DROP)
        return;
    if (listener->rtp2) {
        pjmedia_tp_cb_param param;
        pj_bzero(&param, sizeof(param));
        param.user_data = listener->user_data;
        param.pkt = incoming->packet;
        param.size = incoming->length;
        /* The stream has a rule of its own, which ten packets of a stranger satisfy: it is asked only where ours is, and
         * its word then says that the packet was authentic. */
        param.src_addr = verdict == PJSYS_RTP_MOVE ? src : NULL;
        listener->rtp2(&param);
        if (verdict == PJSYS_RTP_MOVE && param.rem_switch)
            switch_rtp(self, src);
    } else if (listener->rtp) {
        listener->rtp(listener->user_data, incoming->packet, incoming->length);
    }
}

static void deliver_rtcp(struct rtp_transport *self, const struct listener *listener, struct incoming *incoming)
{
    const pj_sockaddr *src = &incoming->source;
    pj_bool_t known;

    pthread_mutex_lock(&self->mutex);
    known = pjsys_rtp_source_is_host(&self->source, src) || pj_sockaddr_cmp(&self->rem_rtcp, src) == 0;
    pthread_mutex_unlock(&self->mutex);
    if (!known)
        return;
    if (listener->rtcp)
        listener->rtcp(listener->user_data, incoming->packet, incoming->length);
    pthread_mutex_lock(&self->mutex);
    pj_sockaddr_cp(&self->src_rtcp, src);
    if (!is_set(&self->rem_rtcp) || pj_sockaddr_cmp(&self->rem_rtcp, src) == 0) {
        self->src_rtcp_count = 0;
    } else if (++self->src_rtcp_count >= PJMEDIA_RTCP_NAT_PROBATION_CNT) {
        self->src_rtcp_count = 0;
        pj_sockaddr_cp(&self->rem_rtcp, src);
    }
    pthread_mutex_unlock(&self->mutex);
}

void pjsys_rtp_round_deliver(pjsys_rtp_round *round, unsigned number)
{
    struct place *place;
    struct rtp_transport *self;
    struct incoming *incoming;
    struct listener listener;

    if (number >= round->places_taken || !round->places[number].count)
        return;
    place = &round->places[number];
    self = place->transport;
    incoming = place->first;
    listener = take_listener(self);
    /* It may be detached meanwhile, by a callback too. */
    while (place->count && atomic_load_explicit(&self->running, memory_order_acquire)) {
        pj_size_t room = ROOM(incoming, incoming->length);
        arrival = incoming->arrival;
        if (incoming->rtcp)
            deliver_rtcp(self, &listener, incoming);
        else
            deliver_rtp(self, &listener, incoming);
        arrival = 0;
        incoming = (struct incoming *)((char *)incoming + room);
        --place->count;
    }
    place->count = 0;
    release_listener(&listener);
}

/* --- Sending ----------------------------------------------------------------------------------------------------- */

static void send_waiting(struct pjsys_rtp_round *round)
{
    pj_size_t at = 0;

    while (at < round->waiting) {
        struct outgoing *outgoing = (struct outgoing *)(round->outbox + at);
        struct rtp_transport *self = outgoing->transport;
        self->sent = pjsys_rtp_socket_send(self->sockets.rtp_sock, outgoing->packet, outgoing->length, &outgoing->to,
                                           outgoing->addr_len);
        at += ROOM(outgoing, outgoing->length);
    }
    round->waiting = 0;
}

pj_bool_t pjsys_rtp_round_keep(struct rtp_transport *self, const void *packet, pj_size_t size, const pj_sockaddr *to,
                               unsigned len, pj_status_t *status)
{
    struct pjsys_rtp_round *round = current;
    struct outgoing *outgoing;

    if (!round || atomic_load_explicit(&self->round, memory_order_relaxed) != round || size > PJMEDIA_MAX_MTU)
        return PJ_FALSE;
    if (round->waiting + ROOM(outgoing, size) > sizeof(round->outbox))
        send_waiting(round);
    outgoing = (struct outgoing *)(round->outbox + round->waiting);
    outgoing->transport = self;
    outgoing->length = (pj_uint32_t)size;
    outgoing->addr_len = len;
    outgoing->to = *to;
    pj_memcpy(outgoing->packet, packet, size);
    round->waiting += ROOM(outgoing, size);
    *status = self->sent;
    self->sent = PJ_SUCCESS;
    return PJ_TRUE;
}

void pjsys_rtp_round_end(pjsys_rtp_round *round)
{
    unsigned number;

    send_waiting(round);
    for (number = 0; number < round->places_taken; ++number) {
        struct rtp_transport *self = round->places[number].transport;
        if (self)
            atomic_store_explicit(&self->round, NULL, memory_order_release);
    }
    round->places_taken = 0;
    current = NULL;
}
