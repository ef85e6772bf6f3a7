/* The transport's record, for the files that make it up: rtp_transport.c and rtp_round.c. */
#ifndef PJSIP_SYS_RTP_SOCKET_H
#define PJSIP_SYS_RTP_SOCKET_H

#include <pjlib.h>
#include <pjmedia.h>

#include "rtp_source.h"

#include <pthread.h>
#include <stdatomic.h>

struct pjsys_rtp_round;

/* Who gets the packets. */
struct listener {
    void *user_data;
    pj_grp_lock_t *owner;
    void (*rtp)(void *, void *, pj_ssize_t);
    void (*rtp2)(pjmedia_tp_cb_param *);
    void (*rtcp)(void *, void *, pj_ssize_t);
};

struct rtp_transport {
    pjmedia_transport base;
    pj_pool_t *pool;
    pjmedia_sock_info sockets;
    unsigned media_options;
    pj_bool_t offers_mux;
    atomic_bool running;
    /* The round that it takes part in; NULL between rounds. The two below belong to whoever has put it there. */
    _Atomic(struct pjsys_rtp_round *) round;
    /* Rounds in a row that found one RTP packet. */
    unsigned even;
    /* What became of the last packet that was sent at a round's end, to be told with the next one. */
    pj_status_t sent;
    /* Guards all below: the control thread attaches and detaches, a media thread receives and sends. It is never held
     * during a callback or a system call. */
    pthread_mutex_t mutex;
    struct listener listener;
    pj_bool_t mux;
    struct pjsys_rtp_source source;
    pj_sockaddr rem_rtcp;
    unsigned addr_len;
    /* Where packets came from last; zero since the last attach, until one came. */
    pj_sockaddr src_rtp;
    pj_sockaddr src_rtcp;
    unsigned src_rtcp_count;
};

static inline struct rtp_transport *of(pjmedia_transport *tp)
{
    return (struct rtp_transport *)tp;
}

static inline pj_bool_t is_set(const pj_sockaddr *addr)
{
    return addr->addr.sa_family == PJ_AF_INET || addr->addr.sa_family == PJ_AF_INET6;
}

/* Sends at once. */
pj_status_t pjsys_rtp_socket_send(pj_sock_t socket, const void *packet, pj_size_t size, const pj_sockaddr *to,
                                  unsigned len);

/* Keeps a copy of an RTP packet until the end of this thread's round, if the transport takes part in that; false if it
 * has to be sent at once. `status` is what became of the packet before. */
pj_bool_t pjsys_rtp_round_keep(struct rtp_transport *self, const void *packet, pj_size_t size, const pj_sockaddr *to,
                               unsigned len, pj_status_t *status);

#endif
