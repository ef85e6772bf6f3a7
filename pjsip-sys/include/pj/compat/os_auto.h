/*
 * What pjproject's ./configure would find out on Linux with glibc or musl. One of the headers that
 * take the place of configure; the list of macros is that of os_auto.h.in.
 */
#ifndef __PJ_COMPAT_OS_AUTO_H__
#define __PJ_COMPAT_OS_AUTO_H__

#define PJ_OS_NAME "linux"
#define PJ_LINUX 1

#define PJ_HAS_ARPA_INET_H 1
#define PJ_HAS_ASSERT_H 1
#define PJ_HAS_CTYPE_H 1
#define PJ_HAS_ERRNO_H 1
#define PJ_HAS_FCNTL_H 1
#define PJ_HAS_IFADDRS_H 1
#define PJ_HAS_INTTYPES_H 1
#define PJ_HAS_LIMITS_H 1
#define PJ_HAS_LINUX_SOCKET_H 1
#define PJ_HAS_MALLOC_H 1
#define PJ_HAS_NETDB_H 1
#define PJ_HAS_NETINET_IN_H 1
#define PJ_HAS_NETINET_IN_SYSTM_H 1
#define PJ_HAS_NETINET_IP_H 1
#define PJ_HAS_NETINET_TCP_H 1
#define PJ_HAS_NET_IF_H 1
#define PJ_HAS_SEMAPHORE_H 1
#define PJ_HAS_SEMAPHORE 1
#define PJ_HAS_SETJMP_H 1
#define PJ_HAS_STDARG_H 1
#define PJ_HAS_STDDEF_H 1
#define PJ_HAS_STDINT_H 1
#define PJ_HAS_STDIO_H 1
#define PJ_HAS_STDLIB_H 1
#define PJ_HAS_STRING_H 1
#define PJ_HAS_SYS_IOCTL_H 1
#define PJ_HAS_SYS_SELECT_H 1
#define PJ_HAS_SYS_SOCKET_H 1
#define PJ_HAS_SYS_TIMEB_H 0
#define PJ_HAS_SYS_TIME_H 1
#define PJ_HAS_SYS_TYPES_H 1
#define PJ_HAS_SYS_UTSNAME_H 1
#define PJ_HAS_TIME_H 1
#define PJ_HAS_UNISTD_H 1
/* glibc only, and used for a debugging aid that we do not build. */
#define PJ_HAS_EXECINFO_H 0

#define PJ_SOCK_HAS_GETADDRINFO 1
#define PJ_SOCK_HAS_INET_ATON 1
#define PJ_SOCK_HAS_INET_NTOP 1
#define PJ_SOCK_HAS_INET_PTON 1
#define PJ_SOCK_HAS_IPV6_V6ONLY 1
#define PJ_SOCK_HAS_SOCKETPAIR 1

#define PJ_HAS_PTHREAD_MUTEXATTR_SETTYPE 1
#define PJ_HAS_PTHREAD_SETNAME_NP 1
#define PJ_HAS_SOCKLEN_T 1
#define PJ_SOCKADDR_HAS_LEN 0

#define PJ_IOQUEUE_IMP PJ_IOQUEUE_IMP_EPOLL
#define PJ_SELECT_NEEDS_NFDS 0

#define PJ_HAS_ERRNO_VAR 1
#define PJ_HAS_SO_ERROR 1
#define PJ_BLOCKING_ERROR_VAL EAGAIN
#define PJ_BLOCKING_CONNECT_ERROR_VAL EINPROGRESS

#define PJ_HAS_THREADS 1
#define PJ_HAS_HIGH_RES_TIMER 1
#define PJ_HAS_LOCALTIME_R 1
#define PJ_HAS_MALLOC 1
#define PJ_OS_HAS_CHECK_STACK 0
#define PJ_NATIVE_STRING_IS_UNICODE 0
#define PJ_POOL_ALIGNMENT 8
#define PJ_ATOMIC_VALUE_TYPE long
#define PJ_EMULATE_RWMUTEX 0
#define PJ_THREAD_ALLOCATE_STACK 0
#define PJ_THREAD_SET_STACK_SIZE 0

#define PJ_HAS_SSL_SOCK 1
#define PJ_SSL_SOCK_IMP PJ_SSL_SOCK_IMP_OPENSSL

#endif
