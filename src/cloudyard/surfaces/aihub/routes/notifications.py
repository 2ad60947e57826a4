"""What the user is told (document, Notification Endpoints)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from cloudyard.surfaces.aihub.mapping import pagination
from cloudyard.surfaces.aihub.notification_schemas import (
    AllRead,
    NotificationView,
    SettingsUpdate,
    SettingsView,
    notification_view,
    settings_view,
)
from cloudyard.surfaces.aihub.routes.meta import CurrentMeta
from cloudyard.surfaces.aihub.schemas import Envelope, ErrorEnvelope, PageEnvelope
from cloudyard.surfaces.aihub.services import Services
from cloudyard.web.authentication import CurrentAccount
from cloudyard.web.documented_errors import failures
from cloudyard.web.json_body import StrictJsonRoute
from cloudyard.web.paging import Page, page

router = APIRouter(prefix="/api/notifications", tags=["Notifications"], route_class=StrictJsonRoute)

CurrentPage = Annotated[Page, Depends(page(default=20, most=100))]
Unread = Annotated[bool, Query(description="`true` lists the unread ones only; `false` is no filter.")]


@router.get("", summary="Get notifications", responses=failures(ErrorEnvelope, 401, 403, 422, 429))
async def list_notifications(
    caller: CurrentAccount, at: CurrentPage, services: Services, meta: CurrentMeta, unread: Unread = False
) -> PageEnvelope[NotificationView]:
    """The user's notifications, newest first."""
    found, total = await services.notifications.list(caller.user_id, unread=unread, limit=at.limit, offset=at.offset)
    return PageEnvelope[NotificationView](
        data=[notification_view(notification) for notification in found], pagination=pagination(at, total), meta=meta
    )


@router.put("/read-all", summary="Mark all notifications as read", responses=failures(ErrorEnvelope, 401, 403, 429))
async def read_all_notifications(caller: CurrentAccount, services: Services, meta: CurrentMeta) -> Envelope[AllRead]:
    """Mark every notification of the user as read."""
    marked = await services.notifications.read_all(caller.user_id)
    return Envelope[AllRead](data=AllRead(marked_as_read=marked), meta=meta)


@router.get("/settings", summary="Get notification settings", responses=failures(ErrorEnvelope, 401, 403, 429))
async def notification_settings(
    caller: CurrentAccount, services: Services, meta: CurrentMeta
) -> Envelope[SettingsView]:
    """By which channels the user is told things."""
    preferences = await services.notifications.preferences(caller.user_id)
    return Envelope[SettingsView](data=settings_view(preferences), meta=meta)


@router.put(
    "/settings", summary="Update notification settings", responses=failures(ErrorEnvelope, 400, 401, 403, 422, 429)
)
async def update_notification_settings(
    body: SettingsUpdate, caller: CurrentAccount, services: Services, meta: CurrentMeta
) -> Envelope[SettingsView]:
    """Set what is given; everything else stays as it is."""
    preferences = await services.notifications.change_preferences(
        caller.user_id, body.by_channel(), body.categories.by_category()
    )
    return Envelope[SettingsView](data=settings_view(preferences), meta=meta)


@router.put(
    "/{notification_id}/read",
    summary="Mark a notification as read",
    responses=failures(ErrorEnvelope, 401, 403, 404, 422, 429),
)
async def read_notification(
    notification_id: str, caller: CurrentAccount, services: Services, meta: CurrentMeta
) -> Envelope[NotificationView]:
    """Mark one of the user's notifications as read, as often as you like."""
    notification = await services.notifications.read(caller.user_id, notification_id)
    return Envelope[NotificationView](data=notification_view(notification), meta=meta)
