/*
 * The load rig for races in C: this process calls itself, and everything happens at once.
 *
 * The threads are those of outdial: one polls PJSIP and asks for counters, clocks read the transports of pinned streams
 * (c/rtp_transport.c) and move their frames, as src/pj/clock.rs does; the first argument adds workers of PJSUA. Calls
 * last from no time to a second, some are renegotiated, both ends hang up when chance says so, and a stranger floods
 * every media port with RTP and RTCP all the while.
 *
 *     rig [workers] [calls]
 *
 * `cargo xtask test --tsan` builds it with ThreadSanitizer, which has to see all code: hence no Rust in it.
 */
#include <arpa/inet.h>
#include "../c/shim.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CHECK(call)                                                            \
    do {                                                                       \
        pj_status_t status_ = (call);                                          \
        if (status_ != PJ_SUCCESS) {                                           \
            fprintf(stderr, "%s: %d\n", #call, status_);                       \
            exit(2);                                                           \
        }                                                                      \
    } while (0)

enum { TOGETHER = 40, CLOCKS = 2, STREAMS = 4 * TOGETHER, LONGEST_FRAME = 48 * 60 * 2 };

/* --- The clocks' streams --------------------------------------------------------------------- */

/* The clock's grain, and the frames after which it reads RTCP, which comes every few seconds. */
enum { SLOT_MS = 5, FRAMES_PER_CONTROL = 50 };

/* References of the group locks of a stream and of the transport under it. Who has the lock of all may put one into an
 * empty place, which the clock then has for itself until it empties it. The clock takes no lock while it serves: that
 * would order what is not ordered in outdial. */
struct pinned {
    pjmedia_port *_Atomic port; /* NULL in an empty place */
    pjmedia_stream *stream;
    pjmedia_transport *transport;
    unsigned period, next; /* in slots */
    unsigned control_in;
    unsigned frames; /* until the clock lets go */
};

static struct pinned streams[CLOCKS][STREAMS];
static pthread_mutex_t streams_lock = PTHREAD_MUTEX_INITIALIZER;
static pj_pool_t *port_pool;
static pthread_mutex_t chance_lock = PTHREAD_MUTEX_INITIALIZER;
static int over;
/* RTP and RTCP that the clocks have read. */
static _Thread_local unsigned packets;
static unsigned received;

static int is_over(void)
{
    return __atomic_load_n(&over, __ATOMIC_ACQUIRE);
}

static unsigned chance(unsigned below)
{
    static unsigned state = 1;
    unsigned value;

    pthread_mutex_lock(&chance_lock);
    state = state * 1664525u + 1013904223u;
    value = state >> 8;
    pthread_mutex_unlock(&chance_lock);
    return value % below;
}

/* Empties its place. */
static void let_go(struct pinned *pinned)
{
    pj_grp_lock_t *of_stream = pinned->port->grp_lock, *of_transport = pinned->transport->grp_lock;

    pthread_mutex_lock(&streams_lock);
    pinned->port = NULL;
    pthread_mutex_unlock(&streams_lock);
    pj_grp_lock_dec_ref(of_stream);
    pj_grp_lock_dec_ref(of_transport);
}

static void on_stream_created2(pjsua_call_id call, pjsua_on_stream_created_param *param)
{
    static unsigned next;
    struct pinned *place = NULL;
    pjmedia_transport *transport = pjsys_rtp_transport_of(param->stream);
    pjmedia_port *port;
    unsigned i, clock;

    PJ_UNUSED_ARG(call);
    CHECK(pjmedia_stream_get_port(param->stream, &port));
    if (!transport) {
        fprintf(stderr, "the stream's transport is not ours\n");
        exit(2);
    }
    pjsys_rtp_transport_set_symmetric(transport, chance(4) != 0);
    pthread_mutex_lock(&streams_lock);
    clock = next++ % CLOCKS;
    for (i = 0; i < STREAMS && !place; ++i) {
        if (!streams[clock][i].port)
            place = &streams[clock][i];
    }
    if (place) {
        place->stream = param->stream;
        place->transport = transport;
        place->period = PJMEDIA_PIA_SPF(&port->info) * 1000 / PJMEDIA_PIA_SRATE(&port->info) / SLOT_MS;
        place->next = chance(place->period);
        place->control_in = 0;
        /* Some are let go before their call is over, some long after. */
        place->frames = 1 + chance(50);
        pj_grp_lock_add_ref(port->grp_lock);
        place->port = port;
    }
    pthread_mutex_unlock(&streams_lock);
    if (!place)
        pj_grp_lock_dec_ref(transport->grp_lock);
    CHECK(pjmedia_null_port_create(port_pool, 8000, 1, 160, 16, &param->port));
    param->destroy_port = PJ_TRUE;
}

/* Moves a frame each way, of a stream that has this place in the round. */
static void serve(struct pinned *pinned, pjsys_rtp_round *round, unsigned place)
{
    pj_int16_t samples[LONGEST_FRAME] = {0};
    pjmedia_frame frame = {.type = PJMEDIA_FRAME_TYPE_AUDIO, .buf = samples};
    pjmedia_port *port = pinned->port;

    pjsys_rtp_round_deliver(round, place);
    frame.size = PJMEDIA_PIA_SPF(&port->info) * 2;
    pjmedia_port_get_frame(port, &frame);
    frame.type = PJMEDIA_FRAME_TYPE_AUDIO;
    frame.size = PJMEDIA_PIA_SPF(&port->info) * 2;
    pjmedia_port_put_frame(port, &frame);
}

static void serve_round(struct pinned *due[], unsigned count, pjsys_rtp_round *round)
{
    unsigned i, step;

    for (i = 0; i < count; ++i) {
        pjsys_rtp_transport_prefetch(due[i]->transport);
        for (step = 0; step <= 2; ++step)
            pjmedia_stream_prefetch(due[i]->stream, step);
    }
    for (i = 0; i < count; ++i) {
        pj_bool_t control = due[i]->control_in == 0;

        due[i]->control_in = (control ? FRAMES_PER_CONTROL : due[i]->control_in) - 1;
        packets += pjsys_rtp_round_read(round, due[i]->transport, control);
    }
    for (i = 0; i < count; ++i)
        serve(due[i], round, i);
    pjsys_rtp_round_end(round);
    for (i = 0; i < count; ++i) {
        if (--due[i]->frames == 0)
            let_go(due[i]);
    }
}

static void *tick(void *argument)
{
    struct pinned *own = argument;
    pj_thread_desc description;
    pj_thread_t *thread;
    static const struct timespec slot_time = {0, SLOT_MS * 1000000};
    struct pinned *due[PJSYS_RTP_ROUND_MOST];
    pjsys_rtp_round *round = pjsys_rtp_round_create();
    unsigned slot;

    CHECK(round ? PJ_SUCCESS : PJ_ENOMEM);
    pj_bzero(description, sizeof(description));
    CHECK(pj_thread_register("clock", description, &thread));
    for (slot = 0; !is_over(); ++slot) {
        unsigned i, count = 0;

        for (i = 0; i < STREAMS; ++i) {
            if (!own[i].port || slot % own[i].period != own[i].next)
                continue;
            due[count++] = &own[i];
            if (count == PJSYS_RTP_ROUND_MOST) {
                serve_round(due, count, round);
                count = 0;
            }
        }
        serve_round(due, count, round);
        nanosleep(&slot_time, NULL);
    }
    pjsys_rtp_round_destroy(round);
    __atomic_add_fetch(&received, packets, __ATOMIC_RELAXED);
    return NULL;
}

/* What the control thread of outdial asks of a stream that a clock serves at the same time. */
static void ask(void)
{
    struct pinned *any = &streams[chance(CLOCKS)][chance(STREAMS / 4)];
    pjmedia_rtcp_stat counted;
    pjmedia_stream *stream;
    pjmedia_port *port;

    pthread_mutex_lock(&streams_lock);
    port = any->port;
    stream = any->stream;
    if (port)
        pj_grp_lock_add_ref(port->grp_lock);
    pthread_mutex_unlock(&streams_lock);
    if (!port)
        return;
    pjmedia_stream_get_stat(stream, &counted);
    pjsys_stream_missing(stream);
    pj_grp_lock_dec_ref(port->grp_lock);
}

/* --- The stranger ---------------------------------------------------------------------------- */

/* Media ports of PJSUA begin here. */
enum { FIRST_PORT = 24000, PORTS = 8 * TOGETHER };

static void *flood(void *argument)
{
    int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
    unsigned char rtp[172] = {0x80, 0, 0, 1, 0, 0, 0, 160, 1, 2, 3, 4};
    unsigned char rtcp[32] = {0x81, 201, 0, 7, 1, 2, 3, 4};
    struct sockaddr_in to = {.sin_family = AF_INET};
    unsigned packet = 0;

    PJ_UNUSED_ARG(argument);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    while (!is_over()) {
        unsigned port = chance(PORTS);
        int control = port & 1;

        rtp[2] = packet >> 8;
        rtp[3] = packet++;
        to.sin_port = htons(FIRST_PORT + port);
        sendto(descriptor, control ? rtcp : rtp, control ? sizeof(rtcp) : sizeof(rtp), 0,
               (struct sockaddr *)&to, sizeof(to));
        if (packet % 64 == 0)
            usleep(2000);
    }
    close(descriptor);
    return NULL;
}

/* --- The calls ------------------------------------------------------------------------------- */

static void on_incoming_call(pjsua_acc_id account, pjsua_call_id call, pjsip_rx_data *received)
{
    PJ_UNUSED_ARG(account);
    PJ_UNUSED_ARG(received);
    if (chance(8) == 0)
        pjsua_call_hangup(call, 486, NULL, NULL);
    else
        pjsua_call_answer(call, chance(4) ? 200 : 183, NULL, NULL);
}

static void on_call_state(pjsua_call_id call, pjsip_event *event)
{
    PJ_UNUSED_ARG(call);
    PJ_UNUSED_ARG(event);
}

/* Something for a call that is up. */
static void meddle(void)
{
    pjsua_call_id calls[2 * TOGETHER];
    unsigned count = PJ_ARRAY_SIZE(calls);
    pjsua_call_id call;
    pjsua_stream_stat counted;

    if (pjsua_enum_calls(calls, &count) != PJ_SUCCESS || count == 0)
        return;
    call = calls[chance(count)];
    switch (chance(8)) {
    case 0:
        pjsua_call_reinvite(call, PJSUA_CALL_UNHOLD, NULL);
        break;
    case 1:
        pjsua_call_set_hold(call, NULL);
        break;
    case 2:
        pjsua_call_answer(call, 200, NULL, NULL);
        break;
    case 3:
        pjsua_call_get_stream_stat(call, 0, &counted);
        break;
    default:
        pjsua_call_hangup(call, 0, NULL, NULL);
    }
}

int main(int count, char **arguments)
{
    unsigned workers = count > 1 ? atoi(arguments[1]) : 0;
    unsigned calls = count > 2 ? atoi(arguments[2]) : 400;
    unsigned made = 0, refused = 0, i;
    pjsua_config config;
    pjsua_logging_config logging;
    pjsua_media_config media;
    pjsua_transport_config transport;
    pjsua_transport_info info;
    pjsua_acc_config accounts;
    pjsua_transport_id udp;
    pjsua_acc_id account;
    pthread_t clocks[CLOCKS], stranger;
    char uri[64];
    pj_str_t target;

    CHECK(pjsua_create());
    pjsua_config_default(&config);
    config.thread_cnt = workers;
    config.max_calls = 2 * TOGETHER;
    config.cb.on_incoming_call = on_incoming_call;
    config.cb.on_call_state = on_call_state;
    config.cb.on_stream_created2 = on_stream_created2;
    pjsua_logging_config_default(&logging);
    logging.level = logging.console_level = 0;
    pjsua_media_config_default(&media);
    media.clock_rate = 8000;
    media.no_vad = PJ_TRUE;
    media.ec_tail_len = 0;
    media.max_media_ports = 4 * TOGETHER + 2;
    CHECK(pjsua_init(&config, &logging, &media));
    port_pool = pjsua_pool_create("rig", 1000, 1000);
    CHECK(pjsua_set_no_snd_dev() ? PJ_SUCCESS : PJ_EUNKNOWN);

    pjsua_transport_config_default(&transport);
    transport.bound_addr = transport.public_addr = pj_str("127.0.0.1");
    CHECK(pjsua_transport_create(PJSIP_TRANSPORT_UDP, &transport, &udp));
    CHECK(pjsua_transport_get_info(udp, &info));
    pjsua_acc_config_default(&accounts);
    accounts.id = pj_str("<sip:rig@127.0.0.1>");
    accounts.rtp_cfg.bound_addr = pj_str("127.0.0.1");
    accounts.rtp_cfg.port = FIRST_PORT;
    accounts.rtp_cfg.port_range = PORTS;
    accounts.use_srtp = PJMEDIA_SRTP_OPTIONAL;
    accounts.srtp_secure_signaling = 0;
    accounts.transport_id = udp;
    CHECK(pjsua_acc_add(&accounts, PJ_TRUE, &account));
    CHECK(pjsua_start());

    for (i = 0; i < CLOCKS; ++i)
        pthread_create(&clocks[i], NULL, tick, streams[i]);
    pthread_create(&stranger, NULL, flood, NULL);

    snprintf(uri, sizeof(uri), "sip:rig@127.0.0.1:%d", info.local_name.port);
    target = pj_str(uri);
    while (made < calls) {
        if (pjsua_call_get_count() < TOGETHER) {
            pjsua_call_setting setting;

            pjsua_call_setting_default(&setting);
            setting.vid_cnt = setting.txt_cnt = 0;
            if (pjsua_call_make_call(account, &target, &setting, NULL, NULL, NULL) == PJ_SUCCESS)
                ++made;
            else
                ++refused;
        }
        if (workers)
            usleep(5000);
        else
            pjsua_handle_events(5);
        meddle();
        ask();
    }
    pjsua_call_hangup_all();
    for (i = 0; i < 600 && pjsua_call_get_count(); ++i) {
        if (workers)
            usleep(20000);
        else
            pjsua_handle_events(20);
    }
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    pthread_join(stranger, NULL);
    for (i = 0; i < CLOCKS; ++i)
        pthread_join(clocks[i], NULL);
    for (i = 0; i < CLOCKS * STREAMS; ++i) {
        if (streams[0][i].port)
            let_go(&streams[0][i]);
    }
    printf("%u calls, %u not made, %u left, %u packets received\n", made, refused, pjsua_call_get_count(), received);
    /* Silence would hide every race of what receives. */
    if (!received)
        return 2;
    pj_pool_release(port_pool);
    CHECK(pjsua_destroy2(PJSUA_DESTROY_NO_NETWORK));
    return 0;
}
