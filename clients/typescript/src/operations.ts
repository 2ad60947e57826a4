import type { Operation } from './http/operation.js';

/** Every operation of the API. */
export const OPERATIONS = {
  register: { method: 'POST', path: '/api/auth/register', open: true },
  login: { method: 'POST', path: '/api/auth/login', open: true },
  refresh: { method: 'POST', path: '/api/auth/refresh', open: true },
  logout: { method: 'POST', path: '/api/auth/logout' },
  forgotPassword: { method: 'POST', path: '/api/auth/forgot-password', open: true },
  signInProviders: { method: 'GET', path: '/api/auth/providers', open: true },
  exchangeCode: { method: 'POST', path: '/api/auth/exchange', open: true },
  resetPassword: { method: 'POST', path: '/api/auth/reset-password', open: true },

  currentUser: { method: 'GET', path: '/api/users/me' },
  updateCurrentUser: { method: 'PUT', path: '/api/users/me' },
  changePassword: { method: 'PUT', path: '/api/users/me/password', once: true },

  applications: { method: 'GET', path: '/api/users/me/applications' },
  endApplication: { method: 'DELETE', path: '/api/users/me/applications/{applicationId}' },

  balance: { method: 'GET', path: '/api/credits/balance' },
  history: { method: 'GET', path: '/api/credits/history' },
  packages: { method: 'GET', path: '/api/credits/packages' },
  purchase: { method: 'POST', path: '/api/credits/purchase', keyed: true },
  getPurchase: { method: 'GET', path: '/api/credits/purchases/{purchaseId}' },

  models: { method: 'GET', path: '/api/mcp/models' },
  chat: { method: 'POST', path: '/api/mcp/chat/completions', keyed: true },

  notifications: { method: 'GET', path: '/api/notifications' },
  readNotification: { method: 'PUT', path: '/api/notifications/{notificationId}/read' },
  readAllNotifications: { method: 'PUT', path: '/api/notifications/read-all', once: true },
  notificationSettings: { method: 'GET', path: '/api/notifications/settings' },
  updateNotificationSettings: { method: 'PUT', path: '/api/notifications/settings' },

  pushKey: { method: 'GET', path: '/api/notifications/push/key' },
  pushSubscriptions: { method: 'GET', path: '/api/notifications/push/subscriptions' },
  registerPush: { method: 'POST', path: '/api/notifications/push/subscriptions' },
  removePush: { method: 'DELETE', path: '/api/notifications/push/subscriptions/{subscriptionId}' },

  users: { method: 'GET', path: '/api/admin/users' },
  getUser: { method: 'GET', path: '/api/admin/users/{userId}' },
  updateUser: { method: 'PUT', path: '/api/admin/users/{userId}', keyed: true },
  adjustCredits: { method: 'POST', path: '/api/admin/users/{userId}/credits/adjust', keyed: true },
  metrics: { method: 'GET', path: '/api/admin/metrics' },

  payments: { method: 'GET', path: '/api/admin/payments' },
  getPayment: { method: 'GET', path: '/api/admin/payments/{paymentId}' },
  refund: { method: 'POST', path: '/api/admin/payments/{paymentId}/refund', keyed: true },

  webhooks: { method: 'GET', path: '/api/admin/webhooks' },
  createWebhook: { method: 'POST', path: '/api/admin/webhooks' },
  getWebhook: { method: 'GET', path: '/api/admin/webhooks/{webhookId}' },
  updateWebhook: { method: 'PUT', path: '/api/admin/webhooks/{webhookId}', keyed: true },
  deleteWebhook: { method: 'DELETE', path: '/api/admin/webhooks/{webhookId}', keyed: true },
  rotateWebhookSecret: { method: 'POST', path: '/api/admin/webhooks/{webhookId}/rotate-secret' },
  testWebhook: { method: 'POST', path: '/api/admin/webhooks/{webhookId}/test', keyed: true },
  deliveries: { method: 'GET', path: '/api/admin/webhooks/{webhookId}/deliveries' },
  getDelivery: { method: 'GET', path: '/api/admin/webhooks/{webhookId}/deliveries/{deliveryId}' },
  replayDelivery: {
    method: 'POST',
    path: '/api/admin/webhooks/{webhookId}/deliveries/{deliveryId}/replay',
    keyed: true,
  },
} as const satisfies Record<string, Operation>;
