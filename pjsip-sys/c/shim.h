/* Functions for what Rust cannot call: static inline functions and macros of PJSIP's headers. */
#ifndef PJSIP_SYS_SHIM_H
#define PJSIP_SYS_SHIM_H

#include <pjlib.h>
#include <pjlib-util.h>
#include <pjnath.h>
#include <pjmedia.h>
#include <pjmedia-codec.h>
#include <pjsip.h>
#include <pjsip_simple.h>
#include <pjsip_ua.h>
#include <pjsua-lib/pjsua.h>

#include "pool_debug.h"
#include "prefetch.h"
#include "rtp_round.h"
#include "rtp_source.h"
#include "rtp_transport.h"

/* pj_pool_create without its last parameter; memory of a pool, zeroed. */
pj_pool_t *pjsys_pool_create(pj_pool_factory *factory, const char *name, pj_size_t initial,
                             pj_size_t increment);
void *pjsys_pool_zalloc(pj_pool_t *pool, pj_size_t size);
/* With a callback for exhaustion that, unlike the default one, may return. */
pj_pool_t *pjsys_pool_create_cb(pj_pool_factory *factory, const char *name, pj_size_t initial,
                                pj_size_t increment, pj_pool_callback *exhausted);
void *pjsys_pool_calloc(pj_pool_t *pool, pj_size_t count, pj_size_t size);
void pjsys_pool_release(pj_pool_t *pool);

void pjsys_list_init(pj_list_type *node);
pj_bool_t pjsys_list_empty(const pj_list_type *node);
void pjsys_list_push_back(pj_list_type *list, pj_list_type *node);

pj_status_t pjsys_grp_lock_add_ref(pj_grp_lock_t *lock);
pj_status_t pjsys_grp_lock_dec_ref(pj_grp_lock_t *lock);

/* Description of a media port: sampling rate in Hz, samples of a frame over all channels, packet
 * time in microseconds. */
unsigned pjsys_port_info_srate(const pjmedia_port_info *info);
unsigned pjsys_port_info_ccnt(const pjmedia_port_info *info);
unsigned pjsys_port_info_spf(const pjmedia_port_info *info);
unsigned pjsys_port_info_ptime_usec(const pjmedia_port_info *info);

void pjsys_transport_info_init(pjmedia_transport_info *info);
pj_status_t pjsys_transport_get_info(pjmedia_transport *transport, pjmedia_transport_info *info);
void *pjsys_transport_info_spc_info(pjmedia_transport_info *info, pjmedia_transport_type type);

void pjsys_tls_setting_default(pjsip_tls_setting *setting);
pjsip_cfg_t *pjsys_sip_cfg(void);

void pjsys_msg_add_hdr(pjsip_msg *msg, pjsip_hdr *hdr);
void *pjsys_uri_get_uri(const void *uri);
const pj_str_t *pjsys_uri_get_scheme(const void *uri);
int pjsys_uri_print(pjsip_uri_context_e context, const void *uri, char *buffer, pj_size_t size);

void pjsys_stun_config_init(pj_stun_config *config, pj_pool_factory *factory, pj_ioqueue_t *ioqueue,
                            pj_timer_heap_t *timers);

/* For a test: the call's first media gets the event as if the call were hanging up. Bytes in use of
 * the pool that events are kept in. */
pj_size_t pjsys_media_event_during_hangup(pjsua_call_id call, pjmedia_event *event);

/* Of the far end's packets, by their sequence numbers: how many have not come, less those that came twice (RFC 3550
 * section 6.4.1). Negative where more came twice than are missing. */
pj_int32_t pjsys_stream_missing(pjmedia_stream *stream);

/* Opus for speech: the rate of its port in Hz, 8000 to 48000, and its complexity, 0 to 10. PJSUA is initialised. */
pj_status_t pjsys_opus_set_speech(unsigned rate, unsigned complexity);

/* "2.7.0" */
const char *pjsys_srtp_version(void);

#endif
