/* pjmedia looks for libsrtp's headers where its install step would have put them. */
#include <srtp.h>
