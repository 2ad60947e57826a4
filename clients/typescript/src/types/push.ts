/** What a browser subscribes with: `PushManager.subscribe({ applicationServerKey: publicKey, ... })`. */
export interface PushKey {
  publicKey: string;
}

/** The browser's public key and secret, in URL-safe base64. */
export interface PushSubscriptionKeys {
  p256dh: string;
  auth: string;
}

/** What `PushManager.subscribe()` gave, as JSON. */
export interface NewPushSubscription {
  endpoint: string;
  keys: PushSubscriptionKeys;
}

/** A browser that shows the user's notices. */
export interface RegisteredPushSubscription {
  id: string;
  endpoint: string;
  createdAt: string;
}
