#include "rtp_transport.h"

#include "prefetch.h"
#include "rtp_socket.h"

#include <pjlib.h>

#include <errno.h>
#include <sys/socket.h>

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

pj_status_t pjsys_rtp_socket_send(pj_sock_t socket, const void *packet, pj_size_t size, const pj_sockaddr *to,
                                  unsigned len)
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
    pj_status_t status;
    unsigned len;

    if (!atomic_load_explicit(&self->running, memory_order_acquire))
        return PJ_SUCCESS;
    pthread_mutex_lock(&self->mutex);
    to = self->source.now.address;
    len = self->addr_len;
    pthread_mutex_unlock(&self->mutex);
    if (pjsys_rtp_round_keep(self, packet, size, &to, len, &status))
        return status;
    return pjsys_rtp_socket_send(self->sockets.rtp_sock, packet, size, &to, len);
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
    return pjsys_rtp_socket_send(mux ? self->sockets.rtp_sock : self->sockets.rtcp_sock, packet, size, &to, len);
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
    atomic_init(&self->round, NULL);
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
