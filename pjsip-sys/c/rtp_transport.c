#include "rtp_transport.h"

#include "prefetch.h"
#include "rtp_source.h"

#include <pjlib.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <time.h>

/* Packets taken at a time: more than 32 in 20 ms are no telephone call, and wait in the socket's buffer, or are lost
 * there. */
#define MOST 32
/* A far end that sent one packet to each of so many polls is even: the next one is expected at the next poll. */
#define EVEN 50
/* What has waited for longer than the packets are apart has another one behind it. */
#define LONG_WAIT_NS 20000000

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
    atomic_flag polled;
    /* Polls in a row that found one RTP packet; whoever has `polled` has it too. */
    unsigned even;
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

static struct rtp_transport *of(pjmedia_transport *tp)
{
    return (struct rtp_transport *)tp;
}

/* --- Time of arrival -------------------------------------------------------------------------------------------- */

static _Thread_local pj_uint64_t arrival;

pj_status_t pjsys_arrival_timestamp(pj_timestamp *ts)
{
    if (!arrival)
        return pj_get_timestamp(ts);
    ts->u64 = arrival;
    return PJ_SUCCESS;
}

static pj_int64_t nanoseconds(const struct timespec *time)
{
    return (pj_int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
}

static pj_uint64_t monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (pj_uint64_t)nanoseconds(&now);
}

/* How long a packet was in its socket: the kernel's stamps are of the wall clock. */
static pj_int64_t waited_for(struct msghdr *message)
{
    struct cmsghdr *control;
    for (control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
        if (control->cmsg_level == SOL_SOCKET && control->cmsg_type == SCM_TIMESTAMPNS) {
            struct timespec stamp, wall;
            pj_memcpy(&stamp, CMSG_DATA(control), sizeof(stamp));
            clock_gettime(CLOCK_REALTIME, &wall);
            return nanoseconds(&wall) - nanoseconds(&stamp);
        }
    }
    return 0;
}

/* --- Receiving -------------------------------------------------------------------------------------------------- */

static pj_bool_t is_set(const pj_sockaddr *addr)
{
    return addr->addr.sa_family == PJ_AF_INET || addr->addr.sa_family == PJ_AF_INET6;
}

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
static void switch_rtp(struct rtp_transport *self, const pj_sockaddr *src, pj_uint64_t now)
{
    pthread_mutex_lock(&self->mutex);
    pjsys_rtp_source_moved(&self->source, now);
    if (self->mux) {
        pj_sockaddr_cp(&self->rem_rtcp, src);
    } else if (!is_set(&self->src_rtcp)) {
        /* As long as RTCP has not been heard, it is expected next to it. */
        pj_sockaddr_cp(&self->rem_rtcp, src);
        pj_sockaddr_set_port(&self->rem_rtcp, (pj_uint16_t)(pj_sockaddr_get_port(src) + 1));
    }
    pthread_mutex_unlock(&self->mutex);
}

static void deliver_rtp(struct rtp_transport *self, const struct listener *listener, void *packet, pj_ssize_t size,
                        pj_sockaddr *src)
{
    pj_uint64_t now = arrival ? arrival : monotonic();
    enum pjsys_rtp_verdict verdict;

    pthread_mutex_lock(&self->mutex);
    verdict = pjsys_rtp_source_judge(&self->source, src, packet, (pj_size_t)size, now);
    if (verdict != PJSYS_RTP_DROP)
        pj_sockaddr_cp(&self->src_rtp, src);
    pthread_mutex_unlock(&self->mutex);
    if (verdict == PJSYS_RTP_DROP)
        return;
    if (listener->rtp2) {
        pjmedia_tp_cb_param param;
        pj_bzero(&param, sizeof(param));
        param.user_data = listener->user_data;
        param.pkt = packet;
        param.size = size;
        /* The stream has a rule of its own, which ten packets of a stranger satisfy: it is asked only where ours is, and
         * its word then says that the packet was authentic. */
        param.src_addr = verdict == PJSYS_RTP_MOVE ? src : NULL;
        listener->rtp2(&param);
        if (verdict == PJSYS_RTP_MOVE && param.rem_switch)
            switch_rtp(self, src, now);
    } else if (listener->rtp) {
        listener->rtp(listener->user_data, packet, size);
    }
}

static void deliver_rtcp(struct rtp_transport *self, const struct listener *listener, void *packet, pj_ssize_t size,
                         pj_sockaddr *src)
{
    pj_bool_t known;

    pthread_mutex_lock(&self->mutex);
    known = pjsys_rtp_source_is_host(&self->source, src) || pj_sockaddr_cmp(&self->rem_rtcp, src) == 0;
    pthread_mutex_unlock(&self->mutex);
    if (!known)
        return;
    if (listener->rtcp)
        listener->rtcp(listener->user_data, packet, size);
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

typedef void deliver(struct rtp_transport *, const struct listener *, void *, pj_ssize_t, pj_sockaddr *);

/* With `even` looks behind a packet only if that one has waited: to find nothing costs half of what a packet costs. */
static unsigned receive(struct rtp_transport *self, pj_sock_t socket, const struct listener *listener,
                        deliver *deliver, pj_bool_t even)
{
    char packet[PJMEDIA_MAX_MTU];
    char control[CMSG_SPACE(sizeof(struct timespec))];
    pj_sockaddr source;
    struct iovec part = {packet, sizeof(packet)};
    unsigned count;

    for (count = 0; count < MOST;) {
        struct msghdr message = {.msg_name = &source,
                                 .msg_namelen = sizeof(source),
                                 .msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control,
                                 .msg_controllen = sizeof(control)};
        pj_int64_t waited;
        ssize_t length = recvmsg((int)socket, &message, MSG_DONTWAIT);
        if (length < 0)
            break;
        ++count;
        /* What does not fit is no packet of ours. Keep-alive packets may be empty. */
        if ((message.msg_flags & MSG_TRUNC) || !is_set(&source))
            continue;
        /* It was detached by a callback, or meanwhile. */
        if (!atomic_load_explicit(&self->running, memory_order_acquire))
            break;
        waited = waited_for(&message);
        arrival = monotonic() - (pj_uint64_t)waited;
        deliver(self, listener, packet, length, &source);
        arrival = 0;
        if (even && waited < LONG_WAIT_NS)
            break;
    }
    return count;
}

unsigned pjsys_rtp_transport_poll(pjmedia_transport *tp, pj_bool_t rtcp)
{
    struct rtp_transport *self = of(tp);
    struct listener listener;
    unsigned count;

    if (!atomic_load_explicit(&self->running, memory_order_acquire))
        return 0;
    if (atomic_flag_test_and_set_explicit(&self->polled, memory_order_acquire))
        return 0;
    listener = take_listener(self);
    count = receive(self, self->sockets.rtp_sock, &listener, &deliver_rtp, self->even >= EVEN);
    self->even = count == 1 ? PJ_MIN(self->even + 1, EVEN) : 0;
    if (rtcp)
        count += receive(self, self->sockets.rtcp_sock, &listener, &deliver_rtcp, PJ_FALSE);
    release_listener(&listener);
    atomic_flag_clear_explicit(&self->polled, memory_order_release);
    return count;
}

void pjsys_rtp_transport_prefetch(const pjmedia_transport *tp)
{
    pjsys_prefetch(tp, sizeof(struct rtp_transport));
}

/* Throws away what came for the session before. */
static void drain(pj_sock_t socket)
{
    char byte;
    unsigned most = 4096;
    while (most-- && recv((int)socket, &byte, sizeof(byte), MSG_DONTWAIT | MSG_TRUNC) >= 0)
        ;
}

/* --- Operations -------------------------------------------------------------------------------------------------- */

static pj_status_t get_info(pjmedia_transport *tp, pjmedia_transport_info *info)
{
    struct rtp_transport *self = of(tp);

    info->sock_info = self->sockets;
    pthread_mutex_lock(&self->mutex);
    if (self->mux)
        info->sock_info.rtcp_addr_name = self->sockets.rtp_addr_name;
    info->src_rtp_name = self->src_rtp;
    info->src_rtcp_name = self->src_rtcp;
    pthread_mutex_unlock(&self->mutex);
    if (info->specific_info_cnt < PJ_ARRAY_SIZE(info->spc_info)) {
        pjmedia_transport_specific_info *specific = &info->spc_info[info->specific_info_cnt++];
        specific->type = PJMEDIA_TRANSPORT_TYPE_UDP;
        specific->cbsize = 0;
    }
    return PJ_SUCCESS;
}

static pj_status_t attach_listener(struct rtp_transport *self, const struct listener *listener,
                                   const pj_sockaddr *rem_rtp, const pj_sockaddr *rem_rtcp)
{
    pj_sockaddr rtp, rtcp;
    int family = self->sockets.rtp_addr_name.addr.sa_family;
    pj_bool_t mux = pj_sockaddr_has_addr(rem_rtp) && rem_rtcp && pj_sockaddr_cmp(rem_rtp, rem_rtcp) == 0;
    pj_status_t status = pj_sockaddr_synthesize(family, &rtp, rem_rtp);

    if (status != PJ_SUCCESS)
        return status;
    if (rem_rtcp && pj_sockaddr_has_addr(rem_rtcp)) {
        status = pj_sockaddr_synthesize(family, &rtcp, rem_rtcp);
        if (status != PJ_SUCCESS)
            return status;
    } else {
        /* RFC 3550 §11. */
        pj_sockaddr_cp(&rtcp, &rtp);
        pj_sockaddr_set_port(&rtcp, (pj_uint16_t)(pj_sockaddr_get_port(&rtp) + 1));
    }
    drain(self->sockets.rtp_sock);
    drain(self->sockets.rtcp_sock);
    pthread_mutex_lock(&self->mutex);
    self->listener = *listener;
    self->mux = mux;
    pjsys_rtp_source_negotiated(&self->source, &rtp);
    /* Behind a translation the far end's RTCP is where it was found, too. */
    if (pj_sockaddr_cmp(&self->source.now.address, &rtp) == 0)
        self->rem_rtcp = rtcp;
    self->addr_len = pj_sockaddr_get_len(&rtp);
    pj_bzero(&self->src_rtp, sizeof(self->src_rtp));
    pj_bzero(&self->src_rtcp, sizeof(self->src_rtcp));
    self->src_rtcp_count = 0;
    pthread_mutex_unlock(&self->mutex);
    return PJ_SUCCESS;
}

static pj_status_t attach(pjmedia_transport *tp, void *user_data, const pj_sockaddr_t *rem_rtp,
                          const pj_sockaddr_t *rem_rtcp, unsigned addr_len, void (*rtp)(void *, void *, pj_ssize_t),
                          void (*rtcp)(void *, void *, pj_ssize_t))
{
    struct listener listener = {user_data, NULL, rtp, NULL, rtcp};
    PJ_ASSERT_RETURN(tp && rem_rtp && addr_len, PJ_EINVAL);
    return attach_listener(of(tp), &listener, rem_rtp, rem_rtcp);
}

static pj_status_t attach2(pjmedia_transport *tp, pjmedia_transport_attach_param *param)
{
    struct listener listener = {param->user_data, param->grp_lock, param->rtp_cb, param->rtp_cb2, param->rtcp_cb};
    PJ_ASSERT_RETURN(tp && param->addr_len, PJ_EINVAL);
    return attach_listener(of(tp), &listener, &param->rem_addr, &param->rem_rtcp);
}

static void detach(pjmedia_transport *tp, void *user_data)
{
    struct rtp_transport *self = of(tp);

    PJ_UNUSED_ARG(user_data);
    atomic_store_explicit(&self->running, 0, memory_order_release);
    pthread_mutex_lock(&self->mutex);
    pj_bzero(&self->listener, sizeof(self->listener));
    pthread_mutex_unlock(&self->mutex);
}

static pj_status_t send_to(pj_sock_t socket, const void *packet, pj_size_t size, const pj_sockaddr *to, unsigned len)
{
    /* Sound is worth nothing later: what cannot be sent now is not sent. */
    if (sendto((int)socket, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)to, len) >= 0)
        return PJ_SUCCESS;
    return PJ_STATUS_FROM_OS(errno);
}

static pj_status_t send_rtp(pjmedia_transport *tp, const void *packet, pj_size_t size)
{
    struct rtp_transport *self = of(tp);
    pj_sockaddr to;
    unsigned len;

    if (!atomic_load_explicit(&self->running, memory_order_acquire))
        return PJ_SUCCESS;
    pthread_mutex_lock(&self->mutex);
    to = self->source.now.address;
    len = self->addr_len;
    pthread_mutex_unlock(&self->mutex);
    return send_to(self->sockets.rtp_sock, packet, size, &to, len);
}

static pj_status_t send_rtcp2(pjmedia_transport *tp, const pj_sockaddr_t *addr, unsigned addr_len, const void *packet,
                              pj_size_t size)
{
    struct rtp_transport *self = of(tp);
    pj_sockaddr to;
    unsigned len;
    pj_bool_t mux;

    if (!atomic_load_explicit(&self->running, memory_order_acquire))
        return PJ_SUCCESS;
    pthread_mutex_lock(&self->mutex);
    to = self->rem_rtcp;
    len = self->addr_len;
    mux = self->mux;
    pthread_mutex_unlock(&self->mutex);
    if (addr) {
        pj_memcpy(&to, addr, PJ_MIN(addr_len, sizeof(to)));
        len = addr_len;
    }
    return send_to(mux ? self->sockets.rtp_sock : self->sockets.rtcp_sock, packet, size, &to, len);
}

static pj_status_t send_rtcp(pjmedia_transport *tp, const void *packet, pj_size_t size)
{
    return send_rtcp2(tp, NULL, 0, packet, size);
}

static pj_status_t media_create(pjmedia_transport *tp, pj_pool_t *pool, unsigned options,
                                const pjmedia_sdp_session *remote, unsigned index)
{
    PJ_UNUSED_ARG(pool);
    PJ_UNUSED_ARG(remote);
    PJ_UNUSED_ARG(index);
    of(tp)->media_options = options;
    of(tp)->offers_mux = (options & PJMEDIA_TPMED_RTCP_MUX) != 0;
    return PJ_SUCCESS;
}

/* RTP/AVP is all that two sockets are; SRTP, which stands above, checks its own. */
static pj_bool_t is_plain(const pjmedia_sdp_media *media)
{
    pj_uint32_t profile = pjmedia_sdp_transport_get_proto(&media->desc.transport);
    PJMEDIA_TP_PROTO_TRIM_FLAG(profile, PJMEDIA_TP_PROFILE_RTCP_FB);
    return profile == PJMEDIA_TP_PROTO_RTP_AVP;
}

static pj_status_t encode_sdp(pjmedia_transport *tp, pj_pool_t *pool, pjmedia_sdp_session *local,
                              const pjmedia_sdp_session *remote, unsigned index)
{
    struct rtp_transport *self = of(tp);
    pjmedia_sdp_media *ours = local->media[index];
    const pjmedia_sdp_media *theirs = remote ? remote->media[index] : NULL;
    pj_bool_t mux;

    if (!(self->media_options & PJMEDIA_TPMED_NO_TRANSPORT_CHECKING) &&
        (!is_plain(ours) || (theirs && !is_plain(theirs)))) {
        pjmedia_sdp_media_deactivate(pool, ours);
        return PJMEDIA_SDP_EINPROTO;
    }
    if (!self->offers_mux)
        return PJ_SUCCESS;
    mux = !theirs || pjmedia_sdp_attr_find2(theirs->attr_count, theirs->attr, "rtcp-mux", NULL) != NULL;
    pthread_mutex_lock(&self->mutex);
    self->mux = theirs && mux;
    pthread_mutex_unlock(&self->mutex);
    /* The port for RTCP is known only when the far end has agreed, or not (RFC 5761 §5.1.1). */
    pjmedia_sdp_attr_remove_all(&ours->attr_count, ours->attr, "rtcp");
    if (!(theirs && mux)) {
        pjmedia_sdp_attr *rtcp = pjmedia_sdp_attr_create_rtcp(pool, &self->sockets.rtcp_addr_name);
        if (rtcp)
            pjmedia_sdp_attr_add(&ours->attr_count, ours->attr, rtcp);
    }
    if (mux)
        pjmedia_sdp_attr_add(&ours->attr_count, ours->attr, pjmedia_sdp_attr_create(pool, "rtcp-mux", NULL));
    return PJ_SUCCESS;
}

static pj_status_t media_start(pjmedia_transport *tp, pj_pool_t *pool, const pjmedia_sdp_session *local,
                               const pjmedia_sdp_session *remote, unsigned index)
{
    PJ_UNUSED_ARG(pool);
    PJ_UNUSED_ARG(local);
    PJ_UNUSED_ARG(remote);
    PJ_UNUSED_ARG(index);
    atomic_store_explicit(&of(tp)->running, 1, memory_order_release);
    return PJ_SUCCESS;
}

static pj_status_t media_stop(pjmedia_transport *tp)
{
    atomic_store_explicit(&of(tp)->running, 0, memory_order_release);
    return PJ_SUCCESS;
}

/* For PJMEDIA's own tests. */
static pj_status_t simulate_lost(pjmedia_transport *tp, pjmedia_dir dir, unsigned percent)
{
    PJ_UNUSED_ARG(tp);
    PJ_UNUSED_ARG(dir);
    return percent ? PJ_ENOTSUP : PJ_SUCCESS;
}

static pj_status_t destroy(pjmedia_transport *tp)
{
    detach(tp, NULL);
    pj_grp_lock_dec_ref(tp->grp_lock);
    return PJ_SUCCESS;
}

/* Nobody has a reference any more. */
static void on_destroy(void *arg)
{
    struct rtp_transport *self = arg;

    pj_sock_close(self->sockets.rtp_sock);
    pj_sock_close(self->sockets.rtcp_sock);
    pthread_mutex_destroy(&self->mutex);
    pj_pool_safe_release(&self->pool);
}

static pjmedia_transport_op operations = {
    &get_info,     &attach,     &detach,      &send_rtp,   &send_rtcp,     &send_rtcp2, &media_create,
    &encode_sdp,   &media_start, &media_stop, &simulate_lost, &destroy,    &attach2,
};

/* --- Making and finding ------------------------------------------------------------------------------------------ */

/* A socket that is bound to all addresses is published as this host's. */
static pj_status_t publish(pj_sockaddr *name, const pj_sockaddr *host)
{
    pj_sockaddr own;

    if (pj_sockaddr_has_addr(name))
        return PJ_SUCCESS;
    if (!host) {
        pj_status_t status = pj_gethostip(name->addr.sa_family, &own);
        if (status != PJ_SUCCESS)
            return status;
        host = &own;
    }
    pj_memcpy(pj_sockaddr_get_addr(name), pj_sockaddr_get_addr(host), pj_sockaddr_get_addr_len(name));
    return PJ_SUCCESS;
}

pj_status_t pjsys_rtp_transport_attach(pjmedia_endpt *endpt, const char *name, const pjmedia_sock_info *si,
                                       unsigned options, pjmedia_transport **p_tp)
{
    struct rtp_transport *self;
    pj_pool_t *pool;
    pj_status_t status;
    int on = 1;

    PJ_ASSERT_RETURN(endpt && si && p_tp, PJ_EINVAL);
    PJ_UNUSED_ARG(options);
    pool = pjmedia_endpt_create_pool(endpt, name ? name : "rtp%p", sizeof(*self) + 512, 512);
    if (!pool)
        return PJ_ENOMEM;
    self = PJ_POOL_ZALLOC_T(pool, struct rtp_transport);
    self->pool = pool;
    self->sockets = *si;
    self->base.op = &operations;
    self->base.type = PJMEDIA_TRANSPORT_TYPE_UDP;
    pj_memcpy(self->base.name, pool->obj_name, PJ_MAX_OBJ_NAME);

    status = publish(&self->sockets.rtp_addr_name, NULL);
    if (status == PJ_SUCCESS)
        status = publish(&self->sockets.rtcp_addr_name, &self->sockets.rtp_addr_name);
    if (status == PJ_SUCCESS)
        status = pj_grp_lock_create(pool, NULL, &self->base.grp_lock);
    if (status != PJ_SUCCESS) {
        pj_pool_release(pool);
        pj_sock_close(si->rtp_sock);
        pj_sock_close(si->rtcp_sock);
        return status;
    }
    pthread_mutex_init(&self->mutex, NULL);
    atomic_init(&self->running, 0);
    atomic_flag_clear(&self->polled);
    self->source.symmetric = PJ_TRUE;
    pj_grp_lock_add_ref(self->base.grp_lock);
    pj_grp_lock_add_handler(self->base.grp_lock, pool, self, &on_destroy);
    /* Without the stamp jitter is measured at our polling. */
    setsockopt((int)si->rtp_sock, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));
    *p_tp = &self->base;
    return PJ_SUCCESS;
}

void pjsys_rtp_transport_set_symmetric(pjmedia_transport *tp, pj_bool_t symmetric)
{
    pthread_mutex_lock(&of(tp)->mutex);
    of(tp)->source.symmetric = symmetric;
    pthread_mutex_unlock(&of(tp)->mutex);
}

pj_status_t pjsys_srtp_transport_create(pjmedia_endpt *endpt, pjmedia_transport *tp, const pjmedia_srtp_setting *opt,
                                        pjmedia_transport **p_tp)
{
    PJ_ASSERT_RETURN(tp && opt && p_tp, PJ_EINVAL);
    if (opt->use != PJMEDIA_SRTP_DISABLED)
        return pjmedia_transport_srtp_create(endpt, tp, opt, p_tp);
    *p_tp = tp;
    return PJ_SUCCESS;
}

pjmedia_transport *pjsys_rtp_transport_of(pjmedia_stream *stream)
{
    pjmedia_transport *tp = pjmedia_stream_get_transport(stream);

    if (tp && tp->op != &operations) {
        /* SRTP has the type of what is below it; that it is there is seen in what it tells of itself. */
        pjmedia_transport_info info;
        pjmedia_transport_info_init(&info);
        if (pjmedia_transport_get_info(tp, &info) == PJ_SUCCESS &&
            pjmedia_transport_info_get_spc_info(&info, PJMEDIA_TRANSPORT_TYPE_SRTP))
            tp = pjmedia_transport_srtp_get_member(tp);
    }
    if (!tp || tp->op != &operations)
        return NULL;
    pj_grp_lock_add_ref(tp->grp_lock);
    return tp;
}
