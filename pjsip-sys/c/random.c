/*
 * pjlib's random numbers and unique strings, from the operating system's generator.
 *
 * pjlib takes both from rand(), or the strings from libuuid. They become Call-IDs, From tags,
 * branches, SSRCs, RTP sequence numbers and DNS query ids, which a stranger must not be able to
 * predict. This file takes the place of rand.c and of guid_uuid.c.
 */
#include <pj/assert.h>
#include <pj/guid.h>
#include <pj/rand.h>

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* 128 bits in hexadecimal: Call-IDs are [0-9a-f]{32}, see the crate's documentation. */
enum { GUID_BYTES = 16, GUID_LENGTH = 2 * GUID_BYTES };

PJ_DEF_DATA(const unsigned) PJ_GUID_STRING_LENGTH = GUID_LENGTH;

PJ_DEF(unsigned) pj_GUID_STRING_LENGTH(void)
{
    return PJ_GUID_STRING_LENGTH;
}

static void fill(void *buffer, size_t length)
{
    /* Fails only for more than 256 bytes, a bad address, or a kernel older than getrandom(2). */
    if (getentropy(buffer, length) != 0)
        abort();
}

PJ_DEF(pj_str_t*) pj_generate_unique_string(pj_str_t *str)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[GUID_BYTES];
    unsigned i;

    PJ_ASSERT_RETURN(str && str->ptr, NULL);

    fill(bytes, sizeof(bytes));
    for (i = 0; i < GUID_BYTES; ++i) {
        str->ptr[2 * i] = digits[bytes[i] >> 4];
        str->ptr[2 * i + 1] = digits[bytes[i] & 15];
    }
    str->slen = GUID_LENGTH;
    return str;
}

/* Nothing to seed. */
PJ_DEF(void) pj_srand(unsigned seed)
{
    (void)seed;
}

/* Never negative, as rand() is: callers take it modulo something. */
PJ_DEF(int) pj_rand(void)
{
    uint32_t number;

    fill(&number, sizeof(number));
    return (int)(number & 0x7FFFFFFF);
}
