/*
 * What is compiled into PJSIP, and its fixed limits. Anything that can be chosen at run time is
 * chosen there, by src/pj.
 *
 * PJSIP_SYS_* come from the build script.
 */

/* --- pjlib --------------------------------------------------------------------------------- */

#define PJ_HAS_IPV6 1

/* Calls below the level that the application asked for cost one comparison. */
#define PJ_LOG_MAX_LEVEL 5

/* Two sockets for each call's media, and transports. */
#define PJ_IOQUEUE_MAX_HANDLES 16384

/*
 * One thread polls a queue, so EPOLLEXCLUSIVE and EPOLLONESHOT have nobody to exclude; re-arming
 * the descriptor after each packet took a fifth of the processor time. (The constant is an enum,
 * hence the number: "neither".)
 */
#define PJ_IOQUEUE_DEFAULT_EPOLL_FLAGS 0
#define PJ_IOQUEUE_MAX_EVENTS_IN_SINGLE_POLL 128

/*
 * The host's own address is that of an interface. Asking for its name's address too could wait for a name
 * server, for seconds in which nothing else is done.
 */
#define PJ_GETHOSTIP_DISABLE_LOCAL_RESOLUTION 1

#define PJ_HAS_SSL_SOCK 1

/* --- SIP ----------------------------------------------------------------------------------- */

#define PJSIP_MAX_TSX_COUNT 32767
#define PJSIP_MAX_DIALOG_COUNT 16383
#define PJSIP_MAX_TRANSPORTS 1024
#define PJSIP_HAS_TLS_TRANSPORT 1
#define PJSIP_HAS_RESOLVER 1
#define PJSIP_HAS_DIGEST_AKA_AUTH 0

#define PJSUA_MAX_CALLS 4000
#define PJSUA_MAX_ACC 256
/* Each trunk over TLS has its own, and a new one when its certificate is renewed. */
#define PJSUA_MAX_TRANSPORTS 512
/* A pair of bridge slots for each call: streams are registered there though nothing is mixed. */
#define PJSUA_MAX_CONF_PORTS 8100
#define PJSUA_MAX_BUDDIES 4
#define PJSUA_MAX_PLAYERS 4
#define PJSUA_MAX_RECORDERS 4

/*
 * A message is printed into 4000 bytes, which with an increment of 4000 take 8000. A call keeps its INVITE and its ACK
 * for a while.
 */
#define PJSIP_POOL_INC_TDATA 1000

/* --- Media --------------------------------------------------------------------------------- */

/* A stream's record and its jitter buffer are each a bit longer than 4000 bytes, the usual increment. */
#define PJMEDIA_STREAM_INC 1000


#define PJMEDIA_HAS_VIDEO 0
#define PJMEDIA_HAS_FFMPEG 0
#define PJMEDIA_HAS_LIBYUV 0

/* The sound device is the application: no audio back-end, no echo canceller. */
#define PJMEDIA_AUDIO_DEV_HAS_PORTAUDIO 0
#define PJMEDIA_AUDIO_DEV_HAS_WMME 0
#define PJMEDIA_AUDIO_DEV_HAS_ALSA 0
#define PJMEDIA_AUDIO_DEV_HAS_NULL_AUDIO 0
#define PJMEDIA_HAS_SPEEX_AEC 0
#define PJMEDIA_HAS_WEBRTC_AEC 0
#define PJMEDIA_HAS_WEBRTC_AEC3 0

/* Rates are converted outside PJMEDIA. */
#define PJMEDIA_RESAMPLE_IMP PJMEDIA_RESAMPLE_NONE

#define PJMEDIA_HAS_G711_CODEC 1
#define PJMEDIA_HAS_G722_CODEC 1
#define PJMEDIA_HAS_L16_CODEC 1
#define PJMEDIA_CODEC_L16_HAS_16KHZ_MONO 1
#define PJMEDIA_HAS_OPUS_CODEC 1
#define PJMEDIA_HAS_BCG729 PJSIP_SYS_HAS_G729
#define PJMEDIA_HAS_GSM_CODEC 0
#define PJMEDIA_HAS_SPEEX_CODEC 0
#define PJMEDIA_HAS_ILBC_CODEC 0
#define PJMEDIA_HAS_G7221_CODEC 0
#define PJMEDIA_HAS_SILK_CODEC 0
#define PJMEDIA_HAS_OPENCORE_AMRNB_CODEC 0
#define PJMEDIA_HAS_OPENCORE_AMRWB_CODEC 0
#define PJMEDIA_HAS_LYRA_CODEC 0

/* libsrtp 2.x beside us rather than PJSIP's own copy; 2.x has srtp_shutdown(), no srtp_deinit(). */
#define PJMEDIA_EXTERNAL_SRTP 2
#define PJMEDIA_HAS_SRTP 1
#define PJMEDIA_SRTP_HAS_DEINIT 0
#define PJMEDIA_SRTP_HAS_SHUTDOWN 1
#define PJMEDIA_SRTP_HAS_SDES 1
#define PJMEDIA_SRTP_HAS_DTLS 0
#define PJMEDIA_SRTP_HAS_AES_GCM_256 1
#define PJMEDIA_SRTP_HAS_AES_GCM_128 1

/* pjmedia knows libsrtp's ciphers by the names of PJSIP's own copy. */
#define srtp_aes_gcm_128_openssl srtp_aes_gcm_128
#define srtp_aes_gcm_256_openssl srtp_aes_gcm_256
