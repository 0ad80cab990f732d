/* `huffman.read_codes` in C, for the strings that a client sends anew. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* As in huffman.py: the bits that a look-up sees, and those of the shortest and of the longest code. */
enum { LOOK = 13, SHORTEST = 5, LONGEST = 30, MOST_PADDING = 7 };

/* The length of the first code of `bits`, which are LONGEST, and its symbol; 0 if they begin with none. */
static int any_code(unsigned long long bits, PyObject *groups, unsigned char *symbol)
{
    unsigned long long code = 0;
    int before = 0;
    for (Py_ssize_t place = 0; place < PyTuple_GET_SIZE(groups); place++) {
        PyObject *group = PyTuple_GET_ITEM(PyTuple_GET_ITEM(groups, place), 1);
        int length = (int)PyLong_AsLong(PyTuple_GET_ITEM(PyTuple_GET_ITEM(groups, place), 0));
        code <<= length - before;
        before = length;
        unsigned long long among = (bits >> (LONGEST - length)) - code;
        if (among < (unsigned long long)PyBytes_GET_SIZE(group)) {
            *symbol = (unsigned char)PyBytes_AS_STRING(group)[among];
            return length;
        }
        code += (unsigned long long)PyBytes_GET_SIZE(group);
    }
    return 0;
}

/* Write the symbols of the codes from `next` to `end`, `room` at most. Returns how many there are in all; `left` bits are
 * none of them. */
static Py_ssize_t decode(const unsigned char *next, const unsigned char *end, PyObject *const *tables,
                         unsigned char *written, Py_ssize_t room, Py_ssize_t *left)
{
    const unsigned char *lengths = (const unsigned char *)PyBytes_AS_STRING(tables[0]);
    const unsigned char *symbols = (const unsigned char *)PyBytes_AS_STRING(tables[1]);
    unsigned long long window = 0; /* the lowest `bits` are the next ones, with ones behind the end */
    int bits = 0;
    Py_ssize_t count = 0;
    for (*left = (end - next) * 8;; count++) {
        if (bits < LONGEST && end - next >= 4) {
            window = window << 32 | (unsigned long long)next[0] << 24 | (unsigned)next[1] << 16 | (unsigned)next[2] << 8 | next[3];
            next += 4;
            bits += 32;
        }
        for (; bits < LONGEST; bits += 8)
            window = window << 8 | (next < end ? *next++ : 0xFF);
        unsigned look = (unsigned)(window >> (bits - LOOK)) & ((1 << LOOK) - 1);
        int length = lengths[look];
        unsigned char symbol = symbols[look];
        if (length == 0 && *left > LOOK) /* not where ones fill up the last octet */
            length = any_code(window >> (bits - LONGEST) & ((1 << LONGEST) - 1), tables[2], &symbol);
        if (length == 0 || length > *left)
            return count;
        if (count < room)
            written[count] = symbol;
        *left -= length;
        bits -= length;
    }
}

static PyObject *read_codes(PyObject *Py_UNUSED(module), PyObject *const *given, Py_ssize_t count)
{
    if (count != 7 || !PyBytes_Check(given[0]) || !PyBytes_Check(given[4]) || PyBytes_GET_SIZE(given[4]) != 1 << LOOK ||
        !PyBytes_Check(given[5]) || PyBytes_GET_SIZE(given[5]) != 1 << LOOK || !PyTuple_Check(given[6]))
        return PyErr_Format(PyExc_TypeError, "read_codes(data, start, end, limit, lengths, symbols, groups)");
    Py_ssize_t start = PyLong_AsSsize_t(given[1]), end = PyLong_AsSsize_t(given[2]), limit = PyLong_AsSsize_t(given[3]);
    if (start < 0 || end < start || end > PyBytes_GET_SIZE(given[0]) || limit < 0)
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "no part of the data, or no limit");
    Py_ssize_t left, most = (end - start) * 8 / SHORTEST, room = most < limit ? most : limit;
    PyObject *text = PyBytes_FromStringAndSize(NULL, room);
    if (text == NULL)
        return NULL;
    const unsigned char *data = (const unsigned char *)PyBytes_AS_STRING(given[0]);
    Py_ssize_t found = decode(data + start, data + end, given + 4, (unsigned char *)PyBytes_AS_STRING(text), room, &left);
    if (left > MOST_PADDING || (left > 0 && ~data[end - 1] & 0xFF >> (8 - left)))
        Py_SETREF(text, PyLong_FromSsize_t(left));
    else if (found > limit)
        Py_SETREF(text, Py_NewRef(Py_None));
    else
        _PyBytes_Resize(&text, found); /* sets it to NULL if it fails */
    return text;
}

static PyMethodDef methods[] = {
    {"read_codes", (PyCFunction)(void (*)(void))read_codes, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, .m_name = "_huffman", .m_methods = methods};

PyMODINIT_FUNC PyInit__huffman(void)
{
    return PyModuleDef_Init(&module);
}
