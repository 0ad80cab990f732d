/** What sessions need; hand the whole module to `PayloadClient.session`. */
export const CipherSuite: unknown;
export const KEM_MLKEM768_X25519: unknown;
export const KEM_MLKEM1024_P384: unknown;
export const KDF_HKDF_SHA256: unknown;
export const KDF_HKDF_SHA384: unknown;
export const AEAD_AES_256_GCM: unknown;
export const ml_dsa65: unknown;
