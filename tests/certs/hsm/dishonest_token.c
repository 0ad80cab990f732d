/* A PKCS#11 module over another one (DISHONEST_MODULE) that does what real tokens do at their worst; DISHONEST says what:
 *
 *   extractable   keys are made extractable, whatever was asked for
 *   twin          another program makes the same key just before
 *   undead        objects are said to be destroyed and stay
 *   final-try     the token says that the next wrong PIN locks it
 *   locked        the token says that its PIN is locked
 *   hang          a signature never comes
 *   crash         a signature ends the process
 *   pin-expired   every login answers CKR_PIN_EXPIRED
 *
 * Every call of C_Login is a line of the file DISHONEST_LOG.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long rv, word;
typedef struct { word type; void *value; word length; } attribute;
typedef struct { unsigned char version[2]; void *function[68]; } list;

enum { GET_FUNCTION_LIST = 3, GET_TOKEN_INFO = 6, LOGIN = 18, DESTROY_OBJECT = 22, SIGN = 43, GENERATE_KEY = 58, GENERATE_KEY_PAIR = 59 };

static list *below, ours;

static int asked(const char *what) {
    const char *mode = getenv("DISHONEST");
    return mode != NULL && strcmp(mode, what) == 0;
}

static void make_extractable(attribute *template, word count) {
    for (word i = 0; i < count && asked("extractable"); i++)
        if (template[i].type == 0x162) /* CKA_EXTRACTABLE */
            *(unsigned char *)template[i].value = 1;
}

static rv generate_key(word session, void *mechanism, attribute *template, word count, word *key) {
    rv (*generate)(word, void *, attribute *, word, word *) = (rv (*)(word, void *, attribute *, word, word *))below->function[GENERATE_KEY];
    make_extractable(template, count);
    if (asked("twin"))
        generate(session, mechanism, template, count, key);
    return generate(session, mechanism, template, count, key);
}

static rv generate_key_pair(word session, void *mechanism, attribute *public_template, word public_count, attribute *template, word count,
                            word *public_key, word *key) {
    rv (*generate)(word, void *, attribute *, word, attribute *, word, word *, word *) =
        (rv (*)(word, void *, attribute *, word, attribute *, word, word *, word *))below->function[GENERATE_KEY_PAIR];
    make_extractable(template, count);
    if (asked("twin"))
        generate(session, mechanism, public_template, public_count, template, count, public_key, key);
    return generate(session, mechanism, public_template, public_count, template, count, public_key, key);
}

static rv destroy_object(word session, word object) {
    return asked("undead") ? 0 : ((rv (*)(word, word))below->function[DESTROY_OBJECT])(session, object);
}

static rv get_token_info(word slot, unsigned char *info) {
    rv code = ((rv (*)(word, unsigned char *))below->function[GET_TOKEN_INFO])(slot, info);
    word *flags = (word *)(info + 96); /* after label, manufacturer, model and serial */
    if (asked("final-try"))
        *flags |= 0x20000;
    if (asked("locked"))
        *flags |= 0x40000;
    return code;
}

static rv login(word session, word user, void *pin, word length) {
    int file = getenv("DISHONEST_LOG") ? open(getenv("DISHONEST_LOG"), O_WRONLY | O_CREAT | O_APPEND, 0600) : -1;
    if (file >= 0) {
        if (write(file, "login\n", 6) != 6)
            abort();
        close(file);
    }
    if (asked("pin-expired"))
        return 0xA3;
    return ((rv (*)(word, word, void *, word))below->function[LOGIN])(session, user, pin, length);
}

static rv sign(word session, void *data, word length, void *signature, word *signature_length) {
    while (asked("hang"))
        pause();
    if (asked("crash"))
        abort();
    return ((rv (*)(word, void *, word, void *, word *))below->function[SIGN])(session, data, length, signature, signature_length);
}

rv C_GetFunctionList(list **answer);

rv C_GetFunctionList(list **answer) {
    void *library = dlopen(getenv("DISHONEST_MODULE"), RTLD_NOW);
    rv (*get)(list **) = library ? (rv (*)(list **))dlsym(library, "C_GetFunctionList") : NULL;
    rv code = get ? get(&below) : 5;
    if (code != 0)
        return code;
    ours = *below;
    ours.function[GET_FUNCTION_LIST] = C_GetFunctionList;
    ours.function[GET_TOKEN_INFO] = get_token_info;
    ours.function[LOGIN] = login;
    ours.function[DESTROY_OBJECT] = destroy_object;
    ours.function[SIGN] = sign;
    ours.function[GENERATE_KEY] = generate_key;
    ours.function[GENERATE_KEY_PAIR] = generate_key_pair;
    *answer = &ours;
    return 0;
}
