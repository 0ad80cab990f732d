/* A PKCS#11 module in front of SoftHSM that a test leads while it runs: it counts calls, and delays, fails or hangs them.
 *
 *   gcc -shared -fPIC -DREAL_MODULE='"libsofthsm2.so"' -I/usr/include/p11-kit-1 -o shim.so shim.c       (tests/hsm/shim.py does it)
 *
 * PLEXIGATE_SHIM names a file of `struct token[TOKENS]`, which every process that has loaded the module maps and shares. The first
 * entry is of the module as a whole (calls without a token, or with a session that is gone); each other one begins with the label
 * of its token. Without the variable, or for a token that no entry names, calls only pass through.
 *
 * A signature that is to fail is made all the same: the token must know that the operation is over. Sessions are lost between calls
 * only: SoftHSM frees what another thread still signs with, and a crash of the process is not the fault that is asked for.
 */
#define _GNU_SOURCE /* memfd_create */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#define TOKENS 8
#define LABEL 32
#define SLOTS 64

/* Also read by shim.py: the order of the names is that of `struct token.functions`. */
#define FUNCTIONS(X) \
    X(C_Initialize) \
    X(C_Finalize) \
    X(C_GetSlotList) \
    X(C_OpenSession) \
    X(C_CloseSession) \
    X(C_GetSessionInfo) \
    X(C_Login) \
    X(C_FindObjectsInit) \
    X(C_FindObjects) \
    X(C_GetAttributeValue) \
    X(C_CreateObject) \
    X(C_CopyObject) \
    X(C_DestroyObject) \
    X(C_GenerateKeyPair) \
    X(C_SignInit) \
    X(C_Sign) \
    X(C_SignUpdate) \
    X(C_SignFinal) \
    X(C_GetTokenInfo) \
    X(C_GetSlotInfo) \
    X(C_GetMechanismList)

#define NUMBER(name) N_##name,
enum { FUNCTIONS(NUMBER) COUNT };

struct function {
    uint64_t calls, delay_us, error, hang;
};

struct token {
    char label[LABEL];
    uint64_t lost; /* raised by the test: every session of this token is gone */
    uint64_t drop_every; /* so many calls of C_Sign raise it as well; 0: none does */
    struct function functions[COUNT];
};

static CK_FUNCTION_LIST ours, *real;
static struct token *tokens;

/* What this process knows of each slot; `lost` as it was when its sessions were last good. */
static struct {
    CK_SLOT_ID slot;
    struct token *token;
    uint64_t lost;
} known[SLOTS];
static int known_count;

/* Held for reading by each call of the real module, for writing while sessions are closed. */
static pthread_rwlock_t in_call = PTHREAD_RWLOCK_INITIALIZER;

#define REAL(result, call) \
    do { \
        pthread_rwlock_rdlock(&in_call); \
        result = real->call; \
        pthread_rwlock_unlock(&in_call); \
    } while (0)

static void lose_sessions(int i)
{
    uint64_t lost = __atomic_load_n(&known[i].token->lost, __ATOMIC_SEQ_CST);

    pthread_rwlock_wrlock(&in_call);
    if (known[i].lost != lost) { /* nobody else was quicker */
        __atomic_store_n(&known[i].lost, lost, __ATOMIC_SEQ_CST);
        real->C_CloseAllSessions(known[i].slot); /* handles are invalid from now on, and nobody is logged in */
    }
    pthread_rwlock_unlock(&in_call);
}

static struct token *token_of_slot(CK_SLOT_ID slot)
{
    CK_TOKEN_INFO info;
    int i;

    for (i = 0; i < known_count; i++) {
        if (known[i].slot != slot)
            continue;
        if (__atomic_load_n(&known[i].token->lost, __ATOMIC_SEQ_CST) != __atomic_load_n(&known[i].lost, __ATOMIC_SEQ_CST))
            lose_sessions(i);
        return known[i].token;
    }
    if (real->C_GetTokenInfo(slot, &info) != CKR_OK || !(info.flags & CKF_TOKEN_INITIALIZED))
        return tokens;
    for (i = LABEL; i > 0 && info.label[i - 1] == ' '; i--)
        info.label[i - 1] = 0;
    for (i = 1; i < TOKENS; i++) {
        if (memcmp(tokens[i].label, info.label, LABEL) == 0 && known_count < SLOTS) {
            known[known_count].slot = slot;
            known[known_count].token = &tokens[i];
            known[known_count].lost = tokens[i].lost;
            known_count++; /* last: another thread may look for it now; that it may stand there twice does no harm */
            return &tokens[i];
        }
    }
    return tokens;
}

static struct token *token_of(CK_SESSION_HANDLE session)
{
    CK_SESSION_INFO info;
    CK_RV result;

    REAL(result, C_GetSessionInfo(session, &info));
    return result == CKR_OK ? token_of_slot(info.slotID) : tokens;
}

/* Count a call and let it take its time; answer what it shall fail with. */
static CK_RV enter(struct token *token, int number)
{
    struct function *function = &token->functions[number];
    uint64_t delay = __atomic_load_n(&function->delay_us, __ATOMIC_SEQ_CST);
    uint64_t every = __atomic_load_n(&token->drop_every, __ATOMIC_SEQ_CST), calls;
    struct timespec time = {delay / 1000000, delay % 1000000 * 1000};

    calls = __atomic_add_fetch(&function->calls, 1, __ATOMIC_SEQ_CST);
    if (number == N_C_Sign && every != 0 && calls % every == 0)
        __atomic_add_fetch(&token->lost, 1, __ATOMIC_SEQ_CST);
    if (delay != 0)
        nanosleep(&time, NULL);
    while (__atomic_load_n(&function->hang, __ATOMIC_SEQ_CST) != 0)
        usleep(1000);
    return __atomic_load_n(&function->error, __ATOMIC_SEQ_CST);
}

/* For calls that do not happen at all when they fail. */
#define PASS(name, token, ...) \
    { \
        CK_RV result = enter(token, N_##name); \
\
        if (result == CKR_OK) \
            REAL(result, name(__VA_ARGS__)); \
        return result; \
    }

static CK_RV shim_initialize(void *arguments) PASS(C_Initialize, tokens, arguments)

static CK_RV shim_finalize(void *reserved) PASS(C_Finalize, tokens, reserved)

static CK_RV shim_slot_list(unsigned char present, CK_SLOT_ID *list, unsigned long *count)
    PASS(C_GetSlotList, tokens, present, list, count)

static CK_RV shim_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
    PASS(C_GetTokenInfo, token_of_slot(slot), slot, info)

static CK_RV shim_slot_info(CK_SLOT_ID slot, CK_SLOT_INFO *info) PASS(C_GetSlotInfo, token_of_slot(slot), slot, info)

static CK_RV shim_open(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)
    PASS(C_OpenSession, token_of_slot(slot), slot, flags, application, notify, session)

static CK_RV shim_close(CK_SESSION_HANDLE session) PASS(C_CloseSession, token_of(session), session)

static CK_RV shim_session_info(CK_SESSION_HANDLE session, CK_SESSION_INFO *info)
    PASS(C_GetSessionInfo, token_of(session), session, info)

static CK_RV shim_login(CK_SESSION_HANDLE session, CK_USER_TYPE user, unsigned char *pin, unsigned long pin_len)
    PASS(C_Login, token_of(session), session, user, pin, pin_len)

static CK_RV shim_find_init(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, unsigned long count)
    PASS(C_FindObjectsInit, token_of(session), session, template, count)

static CK_RV shim_find(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, unsigned long most, unsigned long *count)
    PASS(C_FindObjects, token_of(session), session, objects, most, count)

static CK_RV shim_attributes(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, unsigned long count)
    PASS(C_GetAttributeValue, token_of(session), session, object, template, count)

static CK_RV shim_create(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, unsigned long count, CK_OBJECT_HANDLE *object)
    PASS(C_CreateObject, token_of(session), session, template, count, object)

static CK_RV shim_copy(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template, unsigned long count,
                       CK_OBJECT_HANDLE *made)
    PASS(C_CopyObject, token_of(session), session, object, template, count, made)

static CK_RV shim_destroy(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
    PASS(C_DestroyObject, token_of(session), session, object)

static CK_RV shim_generate(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *public, unsigned long publics,
                           CK_ATTRIBUTE *private, unsigned long privates, CK_OBJECT_HANDLE *made, CK_OBJECT_HANDLE *secret)
    PASS(C_GenerateKeyPair, token_of(session), session, mechanism, public, publics, private, privates, made, secret)

static CK_RV shim_sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
    PASS(C_SignInit, token_of(session), session, mechanism, key)

static CK_RV shim_sign(CK_SESSION_HANDLE session, unsigned char *data, unsigned long data_len, unsigned char *signature,
                       unsigned long *signature_len)
{
    CK_RV error, result;

    if (signature == NULL) /* only asks how long it will be */
        return real->C_Sign(session, data, data_len, signature, signature_len);
    error = enter(token_of(session), N_C_Sign);
    REAL(result, C_Sign(session, data, data_len, signature, signature_len));
    return error != CKR_OK ? error : result;
}

static CK_RV shim_sign_update(CK_SESSION_HANDLE session, unsigned char *part, unsigned long part_len)
{
    CK_RV error = enter(token_of(session), N_C_SignUpdate), result;
    unsigned char unused[8192];
    unsigned long unused_len = sizeof unused;

    REAL(result, C_SignUpdate(session, part, part_len));
    if (error != CKR_OK && result == CKR_OK) /* a failed update ends the operation */
        REAL(result, C_SignFinal(session, unused, &unused_len));
    return error != CKR_OK ? error : result;
}

static CK_RV shim_sign_final(CK_SESSION_HANDLE session, unsigned char *signature, unsigned long *signature_len)
{
    CK_RV error, result;

    if (signature == NULL)
        return real->C_SignFinal(session, signature, signature_len);
    error = enter(token_of(session), N_C_SignFinal);
    REAL(result, C_SignFinal(session, signature, signature_len));
    return error != CKR_OK ? error : result;
}

/* A token that says that it has ML-DSA, where the test wants one (PKCS#11 3.2: CKM_ML_DSA_KEY_PAIR_GEN, CKM_ML_DSA). */
static CK_RV shim_mechanisms(CK_SLOT_ID slot, CK_MECHANISM_TYPE *list, unsigned long *count)
{
    int more = getenv("PLEXIGATE_SHIM_MLDSA") != NULL ? 2 : 0;
    CK_RV result = enter(token_of_slot(slot), N_C_GetMechanismList);

    if (result != CKR_OK)
        return result;
    if (list != NULL)
        *count -= more;
    REAL(result, C_GetMechanismList(slot, list, count));
    if (result == CKR_OK && list != NULL && more) {
        list[*count] = 0x1c;
        list[*count + 1] = 0x1d;
    }
    *count += more;
    return result;
}

static void take_over(void)
{
    ours.C_GetMechanismList = shim_mechanisms;
    ours.C_Initialize = shim_initialize;
    ours.C_Finalize = shim_finalize;
    ours.C_GetSlotList = shim_slot_list;
    ours.C_OpenSession = shim_open;
    ours.C_CloseSession = shim_close;
    ours.C_GetSessionInfo = shim_session_info;
    ours.C_Login = shim_login;
    ours.C_FindObjectsInit = shim_find_init;
    ours.C_FindObjects = shim_find;
    ours.C_GetAttributeValue = shim_attributes;
    ours.C_CreateObject = shim_create;
    ours.C_CopyObject = shim_copy;
    ours.C_DestroyObject = shim_destroy;
    ours.C_GenerateKeyPair = shim_generate;
    ours.C_SignInit = shim_sign_init;
    ours.C_Sign = shim_sign;
    ours.C_SignUpdate = shim_sign_update;
    ours.C_SignFinal = shim_sign_final;
    ours.C_GetTokenInfo = shim_token_info;
    ours.C_GetSlotInfo = shim_slot_info;
}

/* A copy of its own for each copy of this module: a process that loads a copy of a vendor's module has two of them as well. */
static void *real_module(void)
{
    char path[64];
    int from = open(REAL_MODULE, O_RDONLY), copy = memfd_create("real", MFD_CLOEXEC);

    while (from >= 0 && copy >= 0 && sendfile(copy, from, NULL, 1 << 20) > 0)
        ;
    close(from);
    snprintf(path, sizeof path, "/proc/self/fd/%d", copy); /* stays open */
    return dlopen(path, RTLD_NOW);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    if (real == NULL) {
        const char *control = getenv("PLEXIGATE_SHIM");
        void *module = real_module();
        CK_RV (*get)(CK_FUNCTION_LIST **) = module ? dlsym(module, "C_GetFunctionList") : NULL;

        if (get == NULL || get(&real) != CKR_OK)
            return CKR_GENERAL_ERROR;
        ours = *real;
        if (control != NULL) {
            int file = open(control, O_RDWR);
            void *map = file < 0 ? MAP_FAILED : mmap(NULL, TOKENS * sizeof *tokens, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

            if (map == MAP_FAILED)
                return CKR_GENERAL_ERROR; /* a test would count nothing and take it for silence */
            close(file);
            tokens = map;
            take_over();
        }
    }
    *list = &ours;
    return CKR_OK;
}
