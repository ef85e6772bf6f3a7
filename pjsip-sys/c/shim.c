#include "shim.h"

#include <pjsua-lib/pjsua_internal.h>

#include <srtp2/srtp.h>

pj_pool_t *pjsys_pool_create(pj_pool_factory *factory, const char *name, pj_size_t initial,
                             pj_size_t increment)
{
    return pj_pool_create(factory, name, initial, increment, NULL);
}

pj_pool_t *pjsys_pool_create_cb(pj_pool_factory *factory, const char *name, pj_size_t initial,
                                pj_size_t increment, pj_pool_callback *exhausted)
{
    return pj_pool_create(factory, name, initial, increment, exhausted);
}

void *pjsys_pool_calloc(pj_pool_t *pool, pj_size_t count, pj_size_t size)
{
    return pj_pool_calloc(pool, count, size);
}

void *pjsys_pool_zalloc(pj_pool_t *pool, pj_size_t size)
{
    return pj_pool_zalloc(pool, size);
}

void pjsys_pool_release(pj_pool_t *pool)
{
    pj_pool_release(pool);
}

void pjsys_list_init(pj_list_type *node)
{
    pj_list_init(node);
}

pj_bool_t pjsys_list_empty(const pj_list_type *node)
{
    return pj_list_empty(node);
}

void pjsys_list_push_back(pj_list_type *list, pj_list_type *node)
{
    pj_list_push_back(list, node);
}

pj_status_t pjsys_grp_lock_add_ref(pj_grp_lock_t *lock)
{
    return pj_grp_lock_add_ref(lock);
}

pj_status_t pjsys_grp_lock_dec_ref(pj_grp_lock_t *lock)
{
    return pj_grp_lock_dec_ref(lock);
}

unsigned pjsys_port_info_srate(const pjmedia_port_info *info)
{
    return PJMEDIA_PIA_SRATE(info);
}

unsigned pjsys_port_info_ccnt(const pjmedia_port_info *info)
{
    return PJMEDIA_PIA_CCNT(info);
}

unsigned pjsys_port_info_spf(const pjmedia_port_info *info)
{
    return PJMEDIA_PIA_SPF(info);
}

unsigned pjsys_port_info_ptime_usec(const pjmedia_port_info *info)
{
    return PJMEDIA_PIA_PTIME(info);
}

void pjsys_transport_info_init(pjmedia_transport_info *info)
{
    pjmedia_transport_info_init(info);
}

pj_status_t pjsys_transport_get_info(pjmedia_transport *transport, pjmedia_transport_info *info)
{
    return pjmedia_transport_get_info(transport, info);
}

void *pjsys_transport_info_spc_info(pjmedia_transport_info *info, pjmedia_transport_type type)
{
    return pjmedia_transport_info_get_spc_info(info, type);
}

void pjsys_tls_setting_default(pjsip_tls_setting *setting)
{
    pjsip_tls_setting_default(setting);
}

pjsip_cfg_t *pjsys_sip_cfg(void)
{
    return pjsip_cfg();
}

void pjsys_msg_add_hdr(pjsip_msg *msg, pjsip_hdr *hdr)
{
    pjsip_msg_add_hdr(msg, hdr);
}

void *pjsys_uri_get_uri(const void *uri)
{
    return pjsip_uri_get_uri(uri);
}

const pj_str_t *pjsys_uri_get_scheme(const void *uri)
{
    return pjsip_uri_get_scheme(uri);
}

int pjsys_uri_print(pjsip_uri_context_e context, const void *uri, char *buffer, pj_size_t size)
{
    return pjsip_uri_print(context, uri, buffer, size);
}

void pjsys_stun_config_init(pj_stun_config *config, pj_pool_factory *factory, pj_ioqueue_t *ioqueue,
                            pj_timer_heap_t *timers)
{
    pj_stun_config_init(config, factory, 0, ioqueue, timers);
}

pj_size_t pjsys_media_event_during_hangup(pjsua_call_id id, pjmedia_event *event)
{
    pjsua_call *call = &pjsua_var.calls[id];
    pj_bool_t hanging_up = call->hanging_up;

    call->hanging_up = PJ_TRUE;
    call_media_on_event(event, &call->media[0]);
    call->hanging_up = hanging_up;
    return pj_pool_get_used_size(pjsua_var.timer_pool);
}

pj_int32_t pjsys_stream_missing(pjmedia_stream *stream)
{
    pjmedia_stream_rtp_sess_info sessions;
    const pjmedia_rtp_seq_session *numbers;

    if (pjmedia_stream_get_rtp_session_info(stream, &sessions) != PJ_SUCCESS)
        return 0;
    numbers = &sessions.rtcp->seq_ctrl;
    /* Before two packets have followed one another nothing is known. */
    if (sessions.rtcp->stat.rx.pkt == 0 || numbers->probation)
        return 0;
    return (pj_int32_t)(numbers->max_seq + (numbers->cycles & 0xFFFF0000u) - numbers->base_seq -
                        sessions.rtcp->received);
}

const char *pjsys_srtp_version(void)
{
    return srtp_get_version_string();
}

pj_status_t pjsys_opus_set_speech(unsigned rate, unsigned complexity)
{
    const pj_str_t id = {"opus", 4};
    const pjmedia_codec_info *info;
    pjmedia_codec_mgr *codecs = pjmedia_endpt_get_codec_mgr(pjsua_get_pjmedia_endpt());
    pjmedia_codec_opus_config config;
    pjmedia_codec_param param;
    unsigned count = 1;
    pj_status_t status = pjmedia_codec_mgr_find_codecs_by_id(codecs, &id, &count, &info, NULL);

    if (status == PJ_SUCCESS)
        status = pjmedia_codec_mgr_get_default_param(codecs, info, &param);
    if (status == PJ_SUCCESS)
        status = pjmedia_codec_opus_get_config(&config);
    if (status != PJ_SUCCESS)
        return status;
    config.sample_rate = rate;
    config.complexity = complexity;
    return pjmedia_codec_opus_set_default_param(&config, &param);
}
